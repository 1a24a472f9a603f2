"""All faults."""

from tests.faults import candidates, folders, kills, ray_kills, tracking

FAULTS = [*kills.FAULTS, *folders.FAULTS, *candidates.FAULTS, *ray_kills.FAULTS, *tracking.FAULTS]
