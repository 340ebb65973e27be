"""The stable codes of everything the compiler reports, and the exit code each asks for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends."""

    GOOD = 0
    BUG = 1
    INVALID = 2
    CHANGES = 3
    BREAKING = 4
    BLOCKED = 5
    STALE = 6
    UNREACHABLE = 7
    INTERRUPTED = 130

    @classmethod
    def first(cls, codes: Iterable[ExitCode]) -> ExitCode:
        """The code of a process to which several apply: that of what stops it first, good if there is none."""
        return min(codes, key=_STOPPING.index, default=cls.GOOD)


_STOPPING = (
    ExitCode.INTERRUPTED,
    ExitCode.BUG,
    ExitCode.INVALID,
    ExitCode.UNREACHABLE,
    ExitCode.STALE,
    ExitCode.BLOCKED,
    ExitCode.BREAKING,
    ExitCode.CHANGES,
    ExitCode.GOOD,
)
"""A recipe is checked before a source is read, that before what was locked is compared, and that before rows are."""


class Code(Enum):
    """``CRnnn``: 1xx the file, 2xx names and values, 3xx sources, 4xx the plan, 5xx the output, 6xx other readers."""

    title: str
    exit_code: ExitCode

    def __new__(cls, value: str, title: str, exit_code: ExitCode = ExitCode.INVALID) -> Code:
        member = object.__new__(cls)
        member._value_ = value
        member.title = title
        member.exit_code = exit_code
        return member

    # 1xx: the file and its shape
    FILE = ("CR101", "recipe file cannot be read")
    YAML = ("CR102", "not valid YAML")
    DUPLICATE_KEY = ("CR103", "duplicate key")
    UNKNOWN_KEY = ("CR104", "unknown key")
    MISSING_KEY = ("CR105", "required key missing")
    TYPE = ("CR106", "value of the wrong type")
    VALUE = ("CR107", "value not allowed")
    FORMAT_VERSION = ("CR108", "unsupported recipe format")
    PARAM_UNKNOWN = ("CR110", "parameter not declared")
    PARAM_UNUSED = ("CR111", "parameter never used")
    PARAM_VALUE = ("CR112", "parameter value not usable")
    FRAGMENT = ("CR113", "fragment cannot be read")
    FRAGMENT_CYCLE = ("CR114", "fragment includes itself")
    FRAGMENT_OUTSIDE = ("CR115", "fragment outside the recipe's folder")
    FRAGMENT_KEY = ("CR116", "key not for fragments")

    # 2xx: names and values that must fit each other
    SOURCE_UNKNOWN = ("CR201", "source not declared")
    SOURCE_UNUSED = ("CR202", "source never used")
    LAYER_ORDER = ("CR203", "layers in the wrong order")
    SELECTOR = ("CR204", "selector not valid")
    PORTAL_ONLY = ("CR205", "key exists for portal sources only")
    TEMPLATE = ("CR206", "template not valid")
    TEMPLATE_FIELD = ("CR207", "template field does not exist")
    WHERE_FIELD = ("CR208", "portal field does not exist")
    WHERE_VALUE = ("CR209", "portal field cannot have the value")
    SPLIT_NAME = ("CR210", "split name not usable")
    SPLIT_CONFLICT = ("CR211", "run in two splits")
    SPLIT_FILE = ("CR212", "split file not usable")
    EXPECTATION_SYNTAX = ("CR213", "expectation not valid")
    UNNAMED_TYPES = ("CR214", "append layer brings in types that it does not name")
    BASE = ("CR215", "base does not fit")
    DATASET = ("CR217", "dataset metadata incomplete")
    ARTIFACT_TYPE = ("CR218", "artifact type does not fit")
    SPLIT_REPLACED = ("CR219", "split of the file replaced by assign")
    SPLIT_LIKE_ANOTHER = ("CR220", "split name nearly that of another")
    HELD_TYPE = ("CR221", "runs chosen by what the layer does not take")
    RENAME_PATTERN = ("CR223", "rename pattern not usable")
    OUTPUTS = ("CR225", "outputs do not fit each other")
    HIDING = ("CR226", "what an output hides cannot be hidden so")
    DATASET_FROM = ("CR227", "dataset metadata that no source fills")
    SPLIT_SOURCE = ("CR228", "split of a source that brings no runs")

    # 3xx: sources
    UNREACHABLE = ("CR301", "source cannot be read", ExitCode.UNREACHABLE)
    CONFIG = ("CR302", "copick config not usable")
    CROISSANT = ("CR303", "Croissant not usable")
    FILE_NAME = ("CR304", "name that copick cannot read back")
    FILE_CONTENT = ("CR305", "file cannot be read")
    NOT_EXPORTED = ("CR306", "artifact has no place in a Croissant")
    CACHE = ("CR307", "no cached answer", ExitCode.UNREACHABLE)
    DATASET_UNKNOWN = ("CR308", "portal dataset does not exist")
    DEPOSITION_UNKNOWN = ("CR309", "portal deposition does not exist")
    DEPOSITION_EMPTY = ("CR310", "portal deposition has nothing to take")

    # 4xx: the plan
    NO_MATCH = ("CR401", "selector matches nothing")
    RENAME_UNKNOWN = ("CR402", "rename of a name that is not there")
    COLLISION = ("CR403", "two rows with one key", ExitCode.BLOCKED)
    EXPECTATION = ("CR404", "expectation not met", ExitCode.BLOCKED)
    SPLIT_RUN = ("CR405", "split names a run that is not there")
    RUN_NAME = ("CR406", "run name not usable")
    OBJECT_DRIFT = ("CR407", "pickable object defined differently")
    OBJECT_UNKNOWN = ("CR408", "object override of an object that is not there")
    OUTSIDE_ROOT = ("CR409", "exported row lies outside the output")
    SHADOWED = ("CR410", "rows replaced by a later layer")
    OBJECT_MISSING = ("CR411", "object is not a pickable object")
    PATTERN_TIME = ("CR412", "pattern takes too long")
    NO_RUN_HOLDS = ("CR413", "no run holds what is asked for")
    LABELS_MOVE = ("CR414", "labels of objects would move", ExitCode.BLOCKED)
    LABELS_NOT_DENSE = ("CR415", "labels not dense")
    SPLIT_EMPTY = ("CR416", "draw that cannot give every split its share")
    SPLIT_MOVES = ("CR417", "runs move to another split")
    GIVEN_AWAY = ("CR418", "what an output hides shows", ExitCode.BLOCKED)
    MASKED_NAMES = ("CR419", "masked names cannot be kept", ExitCode.BLOCKED)
    POINTS = ("CR420", "points not as expected", ExitCode.BLOCKED)
    ARRAYS = ("CR421", "arrays not as expected", ExitCode.BLOCKED)
    DATA_UNREAD = ("CR422", "data of an expectation cannot be read", ExitCode.BLOCKED)
    VERSION_STEP = ("CR424", "version does not say what changed")
    ALLOWED_NOTHING = ("CR425", "word of --allow that allows nothing")
    STALE_PLAN = ("CR426", "saved plan that fits no more", ExitCode.STALE)
    SAVED_PLAN = ("CR427", "no saved plan")
    REVISION = ("CR437", "git revision that cannot be used")
    BEFORE_UNPLANNED = ("CR438", "recipe that could not be planned as it was")

    # 5xx: the output
    FOREIGN = ("CR501", "Croissant that this recipe did not build", ExitCode.BLOCKED)
    DRIFT = ("CR502", "Croissant changed since it was built", ExitCode.BLOCKED)
    LOCKED = ("CR503", "another build is writing", ExitCode.BLOCKED)
    NOT_WRITABLE = ("CR504", "output cannot be written", ExitCode.UNREACHABLE)
    METADATA_REFUSED = ("CR505", "mlcroissant refuses the metadata")

    # 6xx: what other readers do with it
    READERS_CHANGE = ("CR601", "other readers change a value")
    OVERLAY_NEEDED = ("CR602", "copick opens rows only with an overlay")
