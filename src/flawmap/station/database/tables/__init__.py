"""All tables, so that the database knows each of them."""

from flawmap.station.database.tables.base import Base
from flawmap.station.database.tables.insight import Cursor, DriftTestRow, HourCount
from flawmap.station.database.tables.kept import Kept
from flawmap.station.database.tables.learning import LearningImage, TrialVerdict
from flawmap.station.database.tables.parts import Part
from flawmap.station.database.tables.people import (
    ApiKey,
    AuditEntry,
    LoginSession,
    OneTimeLink,
    User,
)
from flawmap.station.database.tables.products import Model, Product, SettingsVersion
from flawmap.station.database.tables.reviews import DrawnDefect, PartLock, Review
from flawmap.station.database.tables.work import Job, OutboxMessage, Sink, SourceSettings

__all__ = [
    "ApiKey",
    "AuditEntry",
    "Base",
    "Cursor",
    "DrawnDefect",
    "DriftTestRow",
    "HourCount",
    "Job",
    "Kept",
    "LearningImage",
    "LoginSession",
    "Model",
    "OneTimeLink",
    "OutboxMessage",
    "Part",
    "PartLock",
    "Product",
    "Review",
    "SettingsVersion",
    "Sink",
    "SourceSettings",
    "TrialVerdict",
    "User",
]
