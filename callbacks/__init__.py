"""In a checkout, ``callbacks`` is ``naswot_lightning.callbacks``; it is not installed, for others have that name."""

from naswot_lightning.aliases import alias_package

alias_package(__name__, "naswot_lightning.callbacks")
