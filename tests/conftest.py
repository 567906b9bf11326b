"""Settings that hold for every test."""

from hypothesis import HealthCheck, settings

# The same examples on every machine and no deadline: a shared runner can be slow at any moment.
settings.register_profile(
    "tidegate",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tidegate")
