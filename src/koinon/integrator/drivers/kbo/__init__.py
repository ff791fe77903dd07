"""Driver of the KBO/BCE, the Crossroads Bank for Enterprises: functions and enterprises, over REST."""

from koinon.integrator.drivers.kbo.driver import Kbo

__all__ = ["Kbo"]
