"""The rules that a spec, and the files it names, must keep: each has an id that stays, for CI and for filters.

Whoever words a mistake makes the sentence by the rule that is broken, `UNKNOWN_KEY("unknown key ...")`; the sentence
remembers its rule on the way to the report, so nobody between has to know of it. An id is never given to another rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

RULES: dict[str, Rule] = {}  #: every rule by its id, in the order in which a spec is read


class Sentence(str):
    """A text that says how a rule is broken."""

    __slots__ = ("rule",)
    rule: Rule

    def __new__(cls, text: str, rule: Rule) -> Self:
        made = super().__new__(cls, text)
        made.rule = rule
        return made


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `text` says what must hold, or what may not be."""

    id: str
    text: str

    def __post_init__(self) -> None:
        assert self.id not in RULES, self.id
        RULES[self.id] = self

    def __call__(self, text: str) -> Sentence:
        """Return the sentence that says how this rule is broken."""
        return Sentence(text, self)


def rule_of(sentence: str) -> Rule:
    """Return the rule that a sentence says to be broken."""
    return sentence.rule if isinstance(sentence, Sentence) else OTHER


# The file
FILE_MISSING = Rule("file-missing", "A spec that is named is there.")
FILE_IS_FOLDER = Rule("file-is-folder", "A spec is a file, not a folder.")
FILE_UNREADABLE = Rule("file-unreadable", "A spec can be read by whoever runs wanrun.")
FILE_TOO_LARGE = Rule("file-too-large", "A spec has at most 10 MiB.")
NOT_UTF8 = Rule("not-utf8", "A spec or table is UTF-8 text.")
CONTROL_CHARACTER = Rule("control-character", "No control character stands in a spec or table, escaped or not.")
EMPTY_FILE = Rule("empty-file", "A spec has a version and jobs.")

# YAML
TAB_INDENT = Rule("tab-indent", "Lines are indented with spaces, not with tabs.")
INDENTATION = Rule("indentation", "Lines that belong together are indented alike.")
QUOTES_UNCLOSED = Rule("quotes-unclosed", "Quotes that open are closed.")
BRACKET_UNCLOSED = Rule("bracket-unclosed", "Brackets are closed, and a comma stands between what is in them.")
COLON_IN_TEXT = Rule("colon-in-text", 'Text with ": " in it stands in quotes.')
TEXT_START = Rule("text-start", "Text that starts with a sign of YAML's, such as @, stands in quotes.")
STAR_UNQUOTED = Rule("star-unquoted", "Text that starts with * or & stands in quotes.")
UNKNOWN_ESCAPE = Rule("unknown-escape", "Double quotes hold only the escapes that YAML knows.")
TEMPLATE_UNQUOTED = Rule("template-unquoted", "A template inside { } or [ ] stands in quotes.")
TEMPLATE_SPELLING = Rule("template-spelling", "A template is written ${{ ... }}, with a dollar sign and in quotes.")
YAML_SYNTAX = Rule("yaml-syntax", "A spec is YAML.")
SECOND_DOCUMENT = Rule("second-document", "A file holds one spec.")
NESTED_TOO_DEEP = Rule("nested-too-deep", "Values are nested at most 32 levels deep.")
TOO_MANY_VALUES = Rule("too-many-values", "A spec holds at most 500,000 values, with every alias written out.")
TOO_MANY_ALIASES = Rule("too-many-aliases", "A spec has at most 100 aliases.")
UNKNOWN_ANCHOR = Rule("unknown-anchor", "The anchor that an alias names stands above it.")
ANCHOR_IN_ITSELF = Rule("anchor-in-itself", "An anchor does not hold an alias of itself.")
YAML_TAG = Rule("yaml-tag", "Values have no YAML tags.")
MERGE_KEY = Rule("merge-key", "There are no merge keys; defaults are what jobs share.")
KEY_NOT_TEXT = Rule("key-not-text", "A key is text, not a list or mapping.")
KEY_NOT_PLAIN = Rule("key-not-plain", "A key has neither tag nor anchor.")
KEY_OF_LINES = Rule("key-of-lines", "A key is text of one line.")
DUPLICATE_KEY = Rule("duplicate-key", "A key stands once in a mapping.")
NUMBER_UNFIT = Rule("number-unfit", "A number is finite and has at most 64 digits.")
TEXT_CUT = Rule("text-cut", 'Text with " #" in it stands in quotes, since that starts a comment.')

# Form, by the schema of specs and the schemas of models and kinds
SPEC_NOT_MAPPING = Rule("spec-not-mapping", "A spec is a mapping, and so is a base.")
UNKNOWN_KEY = Rule("unknown-key", "A mapping has only the keys that are known there.")
MISSING_KEY = Rule("missing-key", "A mapping has the keys that are needed there.")
KEY_UNFIT = Rule("key-unfit", "A key that is a name of one's own is fit to be one.")
WRONG_TYPE = Rule("wrong-type", "A value is of the type that is taken there: text, number, list and so on.")
NOT_A_CHOICE = Rule("not-a-choice", "A value is one of those that are taken there.")
OUT_OF_RANGE = Rule("out-of-range", "A number is in the range that is taken there.")
TEXT_LENGTH = Rule("text-length", "A text is neither too short nor too long for its place.")
TEXT_FORM = Rule("text-form", "A text has the form that is taken there.")
ITEM_COUNT = Rule("item-count", "A list or mapping has neither too few nor too many items.")
LISTED_TWICE = Rule("listed-twice", "A list holds each of its items once.")
UNFIT_TOGETHER = Rule("unfit-together", "Values that depend on each other fit together.")
SCHEMA_UNUSABLE = Rule("schema-unusable", "The schema of a kind's options holds all that it refers to.")

# Names
NAME_UNFIT = Rule("name-unfit", "The name of a spec, written or by its file, is fit to be a part of addresses.")
NAME_TAKEN = Rule("name-taken", "The specs of one run have different names.")
ID_UNFIT = Rule("id-unfit", "The id of a job is fit to be a part of addresses and the name of a file.")
ID_TAKEN = Rule("id-taken", "The jobs of a spec have different ids.")
ID_NOT_TELLING = Rule("id-not-telling", "What a matrix or table makes different has different ids.")
ID_MISSES_AXIS = Rule("id-misses-axis", "The id of a job with a matrix names every axis.")
ID_MISSES_COLUMN = Rule("id-misses-column", "The id of a job with a table names a column.")
TAG_UNFIT = Rule("tag-unfit", "A tag follows the rule for ids.")

# Templates
TEMPLATE_UNCLOSED = Rule("template-unclosed", "A template ends with }}.")
TEMPLATE_FORM = Rule("template-form", "A template holds dotted names, and no expression.")
TEMPLATE_UNDEFINED = Rule("template-undefined", "What a template names is defined.")
TEMPLATE_NOT_HERE = Rule("template-not-here", "What a template names can be used at its place.")
TEMPLATE_GROUP = Rule("template-group", "A template names a value, not a group of values.")
TEMPLATE_PART = Rule("template-part", "The part of a value that a template names is one that it has.")
TEMPLATE_NOT_TEXT = Rule("template-not-text", "Inside a text, a template stands for a text or number.")
TEMPLATE_TOO_LONG = Rule("template-too-long", "Templates make texts of at most 100,000 characters.")
TEMPLATE_TOO_MUCH = Rule("template-too-much", "The templates of a spec make at most 3,000,000 values.")
SLUG_EMPTY = Rule("slug-empty", "A text whose slug is taken has a letter or digit.")
VAR_LATER = Rule("var-later", "A var refers only to those above it.")
VAR_NOT_TEXT = Rule("var-not-text", "A var takes only texts and numbers from another.")
SECRET_MISPLACED = Rule("secret-misplaced", "A secret stands only in an option that takes one.")
SECRET_PARTS = Rule("secret-parts", "A secret has no parts.")

# Bases
BASE_MISSING = Rule("base-missing", "The file that a spec extends is there and can be read.")
BASE_ALONE = Rule("base-alone", "What runs or is planned has jobs: with bases a spec is named that extends them.")
NO_BASE = Rule("no-base", "What a spec extends is a base: a mapping with version: 1 and something to share.")
EXTENDS_CIRCLE = Rule("extends-circle", "No file extends itself, nor through others.")
EXTENDS_TOO_DEEP = Rule("extends-too-deep", "At most 8 files stand below a spec, each extended by the one before it.")

# Matrix
AXIS_VALUE_TWICE = Rule("axis-value-twice", "An axis of a matrix holds each value once.")
GLOB_UNREADABLE = Rule("glob-unreadable", "The pattern of a glob can be looked up.")
GLOB_EMPTY = Rule("glob-empty", "Some file matches the pattern of a glob.")
MATRIX_TOO_LARGE = Rule("matrix-too-large", "A matrix, and a table with it, makes at most 100,000 jobs.")
MATRIX_EMPTY = Rule("matrix-empty", "Not every combination of a matrix is excluded.")
EXCLUDE_WITHOUT_EFFECT = Rule("exclude-without-effect", "Each item of an exclude takes a combination away.")
INCLUDE_WITHOUT_EFFECT = Rule("include-without-effect", "Each item of an include adds something.")
INCLUDE_INCOMPLETE = Rule("include-incomplete", "An include that is a combination of its own names every axis.")

# Tables
TABLE_MISSING = Rule("table-missing", "The file of a table is there and can be read.")
TABLE_TOO_LARGE = Rule("table-too-large", "A table has at most 32 MiB, 100,000 rows and 3,000,000 cells.")
TABLE_EMPTY = Rule("table-empty", "A table has rows.")
TABLE_SEPARATOR = Rule("table-separator", "Commas separate the columns of a CSV table.")
TABLE_QUOTES = Rule("table-quotes", "Quotes around a cell of a CSV table are closed, and doubled inside.")
TABLE_SYNTAX = Rule("table-syntax", "A table is CSV or JSON Lines, as its spec says.")
COLUMN_UNNAMED = Rule("column-unnamed", "Every column of a CSV table has a name.")
COLUMN_TWICE = Rule("column-twice", "The columns of a CSV table have different names.")
ROW_RAGGED = Rule("row-ragged", "A row of a CSV table has as many cells as there are columns.")
ROW_NOT_MAPPING = Rule("row-not-mapping", "A row of a table in JSON Lines is a mapping.")
TABLE_TOO_WRONG = Rule("table-too-wrong", "A table with many faults is not read to its end.")

# Models, providers, kinds
MODEL_MISSING = Rule("model-missing", "A job names a model, itself or by defaults.")
UNKNOWN_MODEL = Rule("unknown-model", "The model of a job is one that is installed.")
PROVIDER_MISSING = Rule("provider-missing", "A job names a provider where none is called default.")
UNKNOWN_PROVIDER = Rule("unknown-provider", "The provider of a job is in the settings.")
FIELD_NEEDED = Rule("field-needed", "A job has what its model cannot do without.")
FIELD_NOT_TAKEN = Rule("field-not-taken", "A job has only what its model takes.")
NOT_ONE_MEDIA_TYPE = Rule("not-one-media-type", "A media item has one key, its media type.")
UNKNOWN_MEDIA_TYPE = Rule("unknown-media-type", "A media item is of a type that the model takes.")
MEDIA_COUNT = Rule("media-count", "A job has as many media of each type as its model takes.")
MEDIA_EMPTY = Rule("media-empty", "A media item says where its medium is.")
NOT_ONE_KIND = Rule("not-one-kind", "A source or sink in its long form has one key, its kind.")
UNKNOWN_KIND = Rule("unknown-kind", "The kind of a source or sink is one that is installed.")
UNKNOWN_SCHEME = Rule("unknown-scheme", "A link among the media starts with http:// or https://.")
OSS_LINK = Rule("oss-link", "An object in OSS is named by its bucket and key.")
OPTIONS_NOT_MAPPING = Rule("options-not-mapping", "The options of a kind are a mapping, or its short form.")
NO_SHORT_FORM = Rule("no-short-form", "The options of a kind without a short form are a mapping.")

# Chains
UNKNOWN_JOB = Rule("unknown-job", "The job that a chain names is one of the specs of the command.")
CHAIN_CIRCLE = Rule("chain-circle", "A chain does not lead back to the job that it starts from.")
CHAIN_UNFIT = Rule("chain-unfit", "A chain stands where the model takes a video.")

# Sinks
UNKNOWN_SINK = Rule("unknown-sink", "A sink that a job or notify names is one of the spec's.")
SINK_WITHOUT_FILES = Rule("sink-without-files", "A sink that a job names is of a kind that takes files.")
SINK_WITHOUT_EVENTS = Rule("sink-without-events", "A sink that notify names is of a kind that hears of events.")
PLACE_REFUSED = Rule("place-refused", "A sink takes the place that its options name.")
PLACE_TAKEN = Rule("place-taken", "One place takes the result of one job.")
SINKS_AT_ONE_PLACE = Rule("sinks-at-one-place", "The sinks of a job lead to different places.")

# What a spec names: files, links, secrets, money
SOURCE_REFUSED = Rule("source-refused", "A source finds what its options name.")
MEDIA_UNREADABLE = Rule("media-unreadable", "A local medium is a file that can be read as what it is.")
MEDIA_FORMAT = Rule("media-format", "A local medium has a format that the model takes.")
MEDIA_BYTES = Rule("media-bytes", "A local medium is not larger than the model takes.")
MEDIA_PIXELS = Rule("media-pixels", "The sides of a local medium have as many pixels as the model takes.")
MEDIA_ASPECT = Rule("media-aspect", "A local medium is not longer on one side than the model takes.")
MEDIA_ALPHA = Rule("media-alpha", "A local image has no alpha channel where the model takes none.")
MEDIA_SECONDS = Rule("media-seconds", "A local video is as long as the model takes.")
TRIM_UNFIT = Rule("trim-unfit", "What is to be kept of a local medium is in it, and the medium is a video.")
DATA_URL = Rule("data-url", "A data: URL stands only where the model takes one.")
DATA_URLS = Rule("data-urls", "The data: URLs of a job fit into one request.")
KIND_NOT_ALLOWED = Rule("kind-not-allowed", "A spec uses only the kinds that the settings allow, if they name any.")
HOST_NOT_ALLOWED = Rule("host-not-allowed", "Links lead only to the hosts that the settings allow, if they name any.")
SECRET_NOT_ALLOWED = Rule("secret-not-allowed", "A spec names only the secrets that the settings allow, if any.")
SECRET_UNAVAILABLE = Rule("secret-unavailable", "A secret that a spec names can be had.")
NOT_READY = Rule("not-ready", "What a source or sink needs besides its options is there, such as an access key.")
BUDGET_CURRENCY = Rule("budget-currency", "A budget is in the currency in which the model is billed.")
POLICY_VETO = Rule("policy-veto", "No policy, which is a plugin, vetoes a job that is to be submitted.")

OTHER = Rule("other", "What has no rule of its own, such as what only a plugin knows.")
