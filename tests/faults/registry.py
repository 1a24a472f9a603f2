"""All faults."""

from tests.faults import candidates, folders, kills

FAULTS = [*kills.FAULTS, *folders.FAULTS, *candidates.FAULTS]
