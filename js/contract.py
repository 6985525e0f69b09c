"""Generate the TypeScript types of the messages between kernel and page from the Python structs.

``python js/contract.py`` writes ``src/protocol.ts`` (what every panel shares), ``src/contract.ts`` (tables),
and ``contract.ts`` in ``src/curves``, ``src/experiments``, ``src/logs`` and ``src/samples``; a test fails when that was
forgotten.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec

from loops_nb.charts import series
from loops_nb.live import Health
from loops_nb.panels import columns, messages, protocol
from loops_nb.panels.curves import messages as curves_messages
from loops_nb.panels.experiments import messages as experiments_messages
from loops_nb.panels.logs import messages as logs_messages
from loops_nb.panels.samples import messages as samples_messages

SOURCES = Path(__file__).parent / "src"
_SHARED = (
    Health,
    protocol.Heartbeat,
    *get_args(protocol.FromAnyPage),
)
_TABLES = (
    messages.Fact,
    messages.RunPart,
    messages.Span,
    messages.RunSummary,
    messages.Notice,
    messages.HardwareChoice,
    messages.DeploymentPlan,
    messages.CommandStatus,
    messages.TableRows,
    messages.TableChange,
    *get_args(messages.ToPage),
    *get_args(messages.FromPage),
)
_CURVES = (
    curves_messages.CurveRun,
    curves_messages.CurveMark,
    curves_messages.ParamRow,
    curves_messages.CurvesMetadata,
    curves_messages.ChartSpec,
    curves_messages.LineStats,
    curves_messages.CurveLine,
    curves_messages.BestRuns,
    curves_messages.ComparedName,
    curves_messages.ChartData,
    *get_args(curves_messages.CurvesToPage),
    *get_args(curves_messages.CurvesFromPage),
)
_SAMPLES = (
    samples_messages.SampledRun,
    samples_messages.SamplesMetadata,
    samples_messages.SampleSpec,
    samples_messages.SampleCell,
    samples_messages.SamplePrompt,
    samples_messages.SampleStep,
    samples_messages.SampleGridData,
    *get_args(samples_messages.SamplesToPage),
    *get_args(samples_messages.SamplesFromPage),
)
_LOGS = (
    logs_messages.LogRow,
    *get_args(logs_messages.LogToPage),
    *get_args(logs_messages.LogFromPage),
)
_EXPERIMENTS = (
    experiments_messages.ExperimentColumn,
    experiments_messages.SortOrder,
    experiments_messages.Choices,
    experiments_messages.ColumnValue,
    *get_args(experiments_messages.ExperimentsToPage),
    *get_args(experiments_messages.ExperimentsFromPage),
)
_TABLE_UNIONS = {
    "Cell": messages.Cell,
    "ViewName": messages.ViewName,
    "TableName": messages.TableName,
    "PlotName": messages.PlotName,
    "Tone": messages.Tone,
    "Drawn": columns.Drawn,
}
_CURVE_UNIONS = {"Axis": series.Axis}
_SAMPLE_UNIONS = {"StepMode": samples_messages.StepMode, "PromptOrder": samples_messages.PromptOrder}
_EXPERIMENT_UNIONS = {
    "ExperimentCell": experiments_messages.ExperimentCell,
    "ColumnGroup": experiments_messages.ColumnGroup,
}
_UNIONS = _TABLE_UNIONS | _CURVE_UNIONS | _SAMPLE_UNIONS | _EXPERIMENT_UNIONS
_PRIMITIVES = {
    "StrType": "string",
    "BytesType": "string",
    "IntType": "number",
    "FloatType": "number",
    "BoolType": "boolean",
    "NoneType": "null",
}


def protocol_contract() -> str:
    """Return the text of ``src/protocol.ts``."""
    parts = [_heading("loops_nb/panels/protocol.py and loops_nb/live")]
    parts += [_interface(struct) for struct in _SHARED]
    parts.append(_message_union("FromAnyPage", protocol.FromAnyPage))
    parts.append(_constant("ALL_VIEWS", "string", protocol.ALL_VIEWS))
    return "\n".join(parts)


def contract() -> str:
    """Return the text of ``src/contract.ts``."""
    parts = [_heading("loops_nb/panels/messages.py and loops_nb/panels/columns.py"), _import_shared("./protocol")]
    parts += [_union(name) for name in _TABLE_UNIONS]
    parts += _own_interfaces(_TABLES)
    parts += [_message_union(name, getattr(messages, name)) for name in ("ToPage", "FromPage")]
    parts.append(_traits("PanelSnapshot"))
    parts.append(_interface(columns.PanelColumn))
    described = {table: [msgspec.to_builtins(c) for c in kind] for table, kind in columns.COLUMNS.items()}
    parts.append(_constant("COLUMNS", "Record<TableName, readonly PanelColumn[]>", described))
    parts.append(_constant("TONES", "Record<string, Tone>", columns.TONES))
    parts.append(_constant("LINES", "Record<TableName, readonly (readonly [string, string])[]>", columns.LINES))
    return "\n".join(parts)


def curves_contract() -> str:
    """Return the text of ``src/curves/contract.ts``."""
    parts = [_heading("loops_nb/panels/curves/messages.py"), _import_shared("../protocol")]
    parts += [_union(name) for name in _CURVE_UNIONS]
    parts += _own_interfaces(_CURVES)
    parts += [_message_union(name, getattr(curves_messages, name)) for name in ("CurvesToPage", "CurvesFromPage")]
    parts.append(_traits("CurvesSnapshot"))
    return "\n".join(parts)


def samples_contract() -> str:
    """Return the text of ``src/samples/contract.ts``."""
    parts = [_heading("loops_nb/panels/samples/messages.py"), _import_shared("../protocol")]
    parts += [_union(name) for name in _SAMPLE_UNIONS]
    parts += _own_interfaces(_SAMPLES)
    parts += [_message_union(name, getattr(samples_messages, name)) for name in ("SamplesToPage", "SamplesFromPage")]
    parts.append(_traits("SamplesSnapshot"))
    return "\n".join(parts)


def logs_contract() -> str:
    """Return the text of ``src/logs/contract.ts``."""
    parts = [_heading("loops_nb/panels/logs/messages.py"), _import_shared("../protocol")]
    parts += _own_interfaces(_LOGS)
    parts += [_message_union(name, getattr(logs_messages, name)) for name in ("LogToPage", "LogFromPage")]
    parts.append(_traits("LogSnapshot"))
    return "\n".join(parts)


def experiments_contract() -> str:
    """Return the text of ``src/experiments/contract.ts``."""
    parts = [_heading("loops_nb/panels/experiments/messages.py"), 'import type { Cell } from "../contract";\n']
    parts.append(_import_shared("../protocol"))
    parts += [_union(name) for name in _EXPERIMENT_UNIONS]
    parts += _own_interfaces(_EXPERIMENTS)
    parts += [
        _message_union(name, getattr(experiments_messages, name))
        for name in ("ExperimentsToPage", "ExperimentsFromPage")
    ]
    parts.append(_traits("ExperimentsSnapshot"))
    return "\n".join(parts)


#: Text of each generated file.
CONTRACTS = {
    SOURCES / "protocol.ts": protocol_contract,
    SOURCES / "contract.ts": contract,
    SOURCES / "curves" / "contract.ts": curves_contract,
    SOURCES / "experiments" / "contract.ts": experiments_contract,
    SOURCES / "logs" / "contract.ts": logs_contract,
    SOURCES / "samples" / "contract.ts": samples_contract,
}


def _heading(sources: str) -> str:
    return f"// Generated by js/contract.py from {sources}: do not edit.\n"


def _import_shared(path: str) -> str:
    names = ", ".join(sorted(struct.__name__ for struct in _SHARED))
    return f'import type {{ {names} }} from "{path}";\n'


def _union(name: str) -> str:
    return f"export type {name} = {_members(_UNIONS[name])};\n"


def _message_union(name: str, union: Any) -> str:
    return f"export type {name} = {' | '.join(struct.__name__ for struct in get_args(union))};\n"


def _traits(snapshot: str) -> str:
    return f"/** State of the widget's model. */\nexport interface Traits {{\n  snapshot: {snapshot};\n}}\n"


def _own_interfaces(structs: tuple[Any, ...]) -> list[str]:
    return [_interface(struct) for struct in structs if struct not in _SHARED]


def _interface(struct: Any) -> str:
    info: Any = msgspec.inspect.type_info(struct)
    tag = getattr(info, "tag", None)
    lines = [f'  {info.tag_field}: "{tag}";'] if tag else []
    config = getattr(struct, "__struct_config__", None)
    omits_defaults = config is not None and config.omit_defaults
    for field in info.fields:
        optional = "?" if omits_defaults and not field.required else ""
        lines.append(f"  {field.encode_name}{optional}: {_type(field.type)};")
    return f"export interface {struct.__name__} {{\n" + "\n".join(lines) + "\n}\n"


def _type(kind: msgspec.inspect.Type) -> str:  # noqa: PLR0911 - one return for each kind
    inspect = msgspec.inspect
    match kind:
        case inspect.StructType() | inspect.DataclassType():
            return kind.cls.__name__
        case inspect.LiteralType():
            return _literal(kind.values)
        case inspect.ListType() | inspect.VarTupleType():
            item = _type(kind.item_type)
            return f"({item})[]" if "|" in item else f"{item}[]"
        case inspect.DictType():
            return f"Partial<Record<{_type(kind.key_type)}, {_type(kind.value_type)}>>"
        case inspect.UnionType():
            members = {_type(member) for member in kind.types}
            if members == {"string", "number", "boolean", "null"}:
                return "Cell"
            return " | ".join(sorted(members, key=lambda member: (member == "null", member)))
        case inspect.TupleType():
            return f"[{', '.join(_type(item) for item in kind.item_types)}]"
        case _:
            return _PRIMITIVES[type(kind).__name__]


def _literal(values: Any) -> str:
    for name, union in _UNIONS.items():
        if set(get_args(union)) == set(values):
            return name
    return " | ".join(json.dumps(value) for value in values)


def _members(union: Any) -> str:
    names = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
    members = [names[part] if isinstance(part, type) else json.dumps(part) for part in get_args(union)]
    return " | ".join(dict.fromkeys(members))


def _constant(name: str, kind: str, value: Any) -> str:
    return f"export const {name}: {kind} = {json.dumps(value, indent=2, ensure_ascii=False)};\n"


if __name__ == "__main__":
    for target, text in CONTRACTS.items():
        target.write_text(text(), encoding="utf-8")
        sys.stdout.write(f"wrote {target.relative_to(SOURCES)}\n")
