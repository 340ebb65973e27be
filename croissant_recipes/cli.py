"""The command ``croissant-recipe``: parses, calls one function of the library, renders.

Commands import what they use, so that ``--help`` waits for nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from croissant_recipes import __version__, allowing
from croissant_recipes.codes import Code, ExitCode
from croissant_recipes.diagnostics import Diagnostic, DiagnosticError
from croissant_recipes.location import Location
from croissant_recipes.options import Options, default_jobs
from croissant_recipes.render.colour import paint_for
from croissant_recipes.render.formats import FORMATS, KINDS, Format, of_file
from croissant_recipes.shown import printable, shown
from croissant_recipes.streams import Streams

if TYPE_CHECKING:
    from croissant_recipes.api import Planned
    from croissant_recipes.report import Report

_RECIPES = click.argument("recipes", nargs=-1, required=True, metavar="RECIPE...", type=click.Path(path_type=str))
_SET = click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the recipe. Repeatable."
)
_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the result."
)
_REPORT_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS]),
    default="text",
    help="How to print the report. `github` is Markdown with annotations at lines of the recipe.",
)
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Print errors and warnings only.")


def _examples(*commands: str) -> str:
    """What ``--help`` ends with."""
    return "\n".join(["\b", f"Example{'s' * (len(commands) > 1)}:", *(f"  croissant-recipe {c}" for c in commands)])


class _Group(click.Group):
    """Ends with the exit code that the documentation promises, whatever happens."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        if sys.stdout is not sys.__stdout__:
            # Somebody else looks after the streams.
            return self._main(*args, **kwargs)
        streams = Streams()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupt)
        try:
            self._main(*args, **kwargs)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else ExitCode.GOOD
            if (problem := streams.finish()) is not None:
                message = f"standard output cannot be written: {problem.strerror}"
                hint = "free some space there, or give it another place; files that were built are complete"
                _echo_err(Diagnostic(Code.NOT_WRITABLE, message, hint=hint).text(paint_for(sys.stderr)))
                code = ExitCode.first([ExitCode(code), Code.NOT_WRITABLE.exit_code])
                streams.finish()
            if code == ExitCode.INTERRUPTED:
                # Threads may still wait for an answer that nobody wants any more.
                os._exit(code)
            sys.exit(code)

    def _main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except SystemExit:
            raise
        except Exception:
            if _interruptions:
                _end_interrupted()
            traceback.print_exc()
            click.echo("This is a bug in croissant-recipe. Please report it with the lines above.", err=True)
            sys.exit(ExitCode.BUG)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _interruptible():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _interruptible():
            return super().invoke(ctx)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ends a command that is interrupted as the documentation promises: further out, click ends it with 1, which is for
    bugs. What click refuses is quoted so that it controls no terminal."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = "\n".join(map(shown, error.message.split("\n")))
        raise
    except KeyboardInterrupt:
        _end_interrupted()


def _end_interrupted() -> NoReturn:
    click.echo("Interrupted.", err=True)
    sys.exit(ExitCode.INTERRUPTED)


_interruptions: list[int] = []


def _interrupt(number: int, _: object) -> None:
    """Libraries that are interrupted while they are imported make errors of their own of it."""
    _interruptions.append(number)
    raise KeyboardInterrupt


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_examples(
        "init --config project.json -o recipe.yaml", "check recipe.yaml", "plan recipe.yaml", "build recipe.yaml"
    ),
)
@click.version_option(__version__, prog_name="croissant-recipe")
def main() -> None:
    """Compile recipes into MLCommons Croissant datasets for cryo-electron tomography.

    docs/exit-codes.md says what the exit codes mean.
    """


def _planning(
    command: Callable[..., None], what: Callable[..., Any] = _RECIPES, form: Callable[..., Any] = _FORMAT
) -> Callable[..., None]:
    """The options that all share which plan."""
    for option in reversed(
        (
            what,
            _SET,
            click.option(
                "--output",
                metavar="ROOT",
                help="Build into this root instead of output.project_root (each of several outputs into its own folder "
                "below). Relative to the working directory.",
            ),
            click.option(
                "--base-url",
                metavar="URL",
                help="Use this URL instead of output.base_url; for each of several outputs, its name is added.",
            ),
            click.option("--no-file-sha256", is_flag=True, help="Leave the sha256 of picks and meshes empty."),
            click.option(
                "--jobs", type=click.IntRange(1, 256), metavar="N", help="Files or requests under way at once."
            ),
            click.option(
                "--strict", is_flag=True, help="Make values that other readers change errors, and warnings of `expect`."
            ),
            click.option(
                "--allow",
                multiple=True,
                metavar="WORD",
                help="Let this change break one thing: `labels`, `removed:picks:ribosome`, `split:TS_003`. A plan "
                "names the word of each. Repeatable.",
            ),
            click.option("--refresh", is_flag=True, help="Ask the portal anew instead of using cached answers."),
            click.option("--offline", is_flag=True, help="Use cached answers of the portal only, whatever their age."),
            form,
            _QUIET,
            click.option("-v", "--verbose", is_flag=True, help="Show every row and every request."),
        )
    ):
        command = option(command)
    return command


def _reporting(command: Callable[..., None], what: Callable[..., Any] = _RECIPES) -> Callable[..., None]:
    """The options of a command that shows what would change."""
    for option in reversed(
        (
            click.option(
                "--report",
                "reports",
                multiple=True,
                metavar="FILE",
                help="Write the report into a file: as JSON, Markdown, HTML or text where its name ends in .json, .md, "
                ".html or .txt, else as --format says. Repeatable.",
            ),
            click.option("--full", is_flag=True, help="Show every risk, group and row, however many lines that takes."),
            click.option(
                "--only",
                multiple=True,
                type=click.Choice(KINDS),
                help="Show changes of this kind only. Repeatable.",
            ),
        )
    ):
        command = option(command)
    return _planning(command, what, _REPORT_FORMAT)


@main.command(epilog=_examples("check recipe.yaml", "check --format json recipes/*.yaml"))
@_RECIPES
@_SET
@_FORMAT
@_QUIET
def check(recipes: tuple[str, ...], settings: tuple[str, ...], form: str, quiet: bool) -> None:
    """Find what is wrong with recipes, without reading their sources.

    Touches no network.
    """
    from croissant_recipes import api
    from croissant_recipes.render import findings

    results = api.check(*recipes, params=_params(settings))
    if form == "json":
        click.echo(findings.as_json(results))
    else:
        for result in results:
            _echo_err(findings.diagnostics(result.diagnostics, quiet=quiet, paint=paint_for(sys.stderr)))
        if not quiet:
            click.echo(findings.as_text(results))
    sys.exit(api.results_exit_code(results))


class _WithPoints(click.Command):
    """A command whose ``--points`` can go without a distance, before a recipe too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        found = list[str]()
        for arg in args:
            if found and found[-1] == "--points" and _is_number(arg):
                found[-1] = f"--points={arg}"
            else:
                found.append(arg)
        end = found.index("--") if "--" in found else len(found)
        named = [f"--points={_MOVED:g}" if arg == "--points" else arg for arg in found[:end]]
        return super().parse_args(ctx, named + found[end:])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_MOVED = 1.0

_POINTS = click.option(
    "--points",
    type=click.FloatRange(0, 1e9),
    metavar="[Å]",
    help="Read changed picks, and say how many of their points were added, removed, turned, or moved by more than this "
    f"distance, {_MOVED:g} Å unless given.",
)


@main.command(
    cls=_WithPoints,
    epilog=_examples(
        "plan recipe.yaml",
        "plan -v --set voxel=20.0 recipe.yaml",
        "plan --report plan.html --report plan.md recipe.yaml",
    ),
)
@_reporting
@_POINTS
@click.option(
    "--exit-code",
    is_flag=True,
    help="End with 3 where a build would change something, and with 4 where that breaks somebody and is not allowed.",
)
@click.option(
    "--against",
    metavar="REV",
    help="Compare with what the recipe, and the files that it names, made at a git revision, over the sources of "
    "today, and not with what is built.",
)
@click.option(
    "--save",
    metavar="FILE",
    help="Keep the plan in a file, which `build --plan` builds exactly. One recipe only.",
)
def plan(**flags: Any) -> None:
    """Show what a build would do. Writes nothing but what is asked for."""
    from croissant_recipes import api

    options, files = _options(flags), _report_files(flags)
    if flags["save"] and flags["against"]:
        raise click.UsageError("--save and --against exclude each other: a saved plan is of what is there")
    if flags["save"]:
        _refuse_saved_plan(flags["save"])
    results = api.plan(*flags["recipes"], options=options, progress=_progress(flags), against=flags["against"])
    _report([result.report for result in results], flags, files)
    if flags["save"] and all(r.ok for r in results):
        from croissant_recipes.stores import single_files

        data = api.saved_plan(results, options)
        _writing(lambda: single_files.write_file(flags["save"], data))
        if not flags["quiet"] and flags["form"] == "text":
            click.echo(f"Saved the plan in {flags['save']}; `build --plan` builds exactly that.", err=True)
    sys.exit((api.change_exit_code if flags["exit_code"] else api.results_exit_code)(results))


def _comparing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of ``diff``."""
    metavar = "A B | REV..REV [RECIPE...]"
    what = click.argument("recipes", nargs=-1, required=True, metavar=metavar, type=click.Path(path_type=str))
    return _reporting(_POINTS(command), what)


@main.command(
    cls=_WithPoints,
    epilog=_examples(
        "diff old/Croissant new/Croissant",
        "diff https://example.org/v1/Croissant sample/Croissant",
        "diff first.yaml second.yaml",
        "diff main..HEAD",
        "diff v1.0.0..v1.1.0 recipe.yaml",
    ),
)
@_comparing
@click.option(
    "--exit-code", is_flag=True, help="End with 3 where something differs, and with 4 where that breaks somebody."
)
def diff(**flags: Any) -> None:
    """Show what differs between two versions, and what that means. Writes nothing.

    A and B are Croissants (metadata.json, its folder, or a URL), recipes or saved plans. Of REV..REV, the
    recipes that changed between two git revisions are planned over the sources of today, and no others; REV...REV
    starts where they parted.
    """
    from croissant_recipes import api
    from croissant_recipes.render import findings

    options, files = _options(flags), _report_files(flags)
    try:
        found = api.diff(*flags["recipes"], options=options, progress=_progress(flags))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    paint = paint_for(sys.stderr)
    _echo_err(findings.diagnostics(found.diagnostics, quiet=flags["quiet"], paint=paint))
    if found.ok and not found.compared and flags["form"] == "text":
        if not flags["quiet"]:
            click.echo(f"No recipe differs: {printable(flags['recipes'][0])}")
    elif found.compared or flags["form"] != "text":
        _report(found.reports, flags, files)
    sys.exit(api.diff_exit_code(found, changes=flags["exit_code"]))


@main.command(
    epilog=_examples(
        "build recipe.yaml",
        "build --on-drift keep recipe.yaml",
        "build --emit-config copick.json recipe.yaml",
    )
)
@_planning
@click.option("--dry-run", is_flag=True, help="Show the plan and write nothing, as `plan` does.")
@click.option(
    "--check", is_flag=True, help="Write nothing, and end as `plan --exit-code` does: is what is there up to date?"
)
@click.option(
    "--plan",
    "saved",
    metavar="FILE",
    help="Build exactly the plan that `plan --save` kept, with what it was allowed, or end with 6. One recipe only.",
)
@click.option("--force", is_flag=True, help="Replace a Croissant that this recipe did not build.")
@click.option(
    "--on-drift",
    type=click.Choice(["stop", "keep", "discard"]),
    default="stop",
    help="Stop at changes that others made to a built Croissant, and show them (the default), keep them, or discard "
    "them.",
)
@click.option(
    "--emit-config",
    metavar="PATH",
    help="Also write a copick config that opens the Croissant. One recipe only; with several outputs, {output} in the "
    "path stands for the name of each.",
)
@click.option(
    "--config-overlay",
    metavar="ROOT",
    help="Overlay that the emitted config writes to (Mode B). Without it copick writes to the Croissant (Mode A).",
)
def build(**flags: Any) -> None:
    """Write the Croissants that recipes describe. Nothing is written when one of the recipes has an error."""
    from croissant_recipes import api

    if flags["config_overlay"] and not flags["emit_config"]:
        raise click.UsageError("--config-overlay goes with --emit-config")
    options = _options(flags)
    for flag in ("force", "check", "dry_run"):
        if flags["saved"] and flags[flag]:
            raise click.UsageError(f"--plan and --{flag.replace('_', '-')} exclude each other")
    if flags["saved"] and flags["on_drift"] != "stop":
        raise click.UsageError("--plan and --on-drift exclude each other")
    names = _emitted(flags)
    for path, overlay in names.values():
        _refuse_targets(path, overlay)
    show_plan = flags["dry_run"] or flags["check"]
    if show_plan:
        results = api.plan(*flags["recipes"], options=options, progress=_progress(flags))
    else:
        results = api.build(*flags["recipes"], options=options, progress=_progress(flags), saved=flags["saved"])
    if show_plan:
        _report([result.report for result in results], flags)
    else:
        _told(results, flags)
    for result in results:
        if result.output_name in names and all(r.ok for r in results):
            path, overlay = names[result.output_name]
            _emit_config(result, path, overlay)
            if not flags["quiet"] and flags["form"] == "text":
                click.echo(f"Wrote {path}, a copick config that opens it.")
    sys.exit((api.change_exit_code if flags["check"] else api.results_exit_code)(results))


@main.command(epilog=_examples("adopt --dry-run recipe.yaml", "adopt recipe.yaml"))
@_planning
@click.option("--dry-run", is_flag=True, help="Show what the recipe would say, and write nothing.")
def adopt(**flags: Any) -> None:
    """Make a recipe say what others changed in its Croissant.

    Rows go into a small Croissant beside the recipe, which a last layer appends; splits, objects and metadata into the
    recipe itself. What a recipe cannot say is listed and stays drift.
    """
    from croissant_recipes import api

    if len(flags["recipes"]) > 1:
        raise click.UsageError("one recipe at a time")
    result = api.adopt(
        flags["recipes"][0], options=_options(flags), progress=_progress(flags), dry_run=flags["dry_run"]
    )
    from croissant_recipes.render import adoption

    if flags["form"] == "json":
        click.echo(adoption.as_json(result))
    else:
        from croissant_recipes.render import findings

        _echo_err(findings.diagnostics(result.diagnostics, quiet=flags["quiet"]))
        if not flags["quiet"]:
            click.echo(adoption.as_text(result))
    sys.exit(api.diagnostics_exit_code(result.diagnostics))


@main.command(epilog=_examples("labels recipe.yaml", "labels --write recipe.yaml"))
@_planning
@click.option(
    "--write", is_flag=True, help="Write labels into `objects` of the recipe, for objects that it gives none."
)
def labels(**flags: Any) -> None:
    """Show or write the labels of a recipe's objects.

    They are shown with who gives them and with those that are there: at the output, else in the base. --write makes the
    recipe say these and, for objects that are not there, those of the plan. Its comments and layout stay.
    """
    from croissant_recipes import api

    if len(flags["recipes"]) > 1:
        raise click.UsageError("one recipe at a time")
    path, options = flags["recipes"][0], _options(flags)
    result = api.labels(path, options=options, progress=_progress(flags), write=flags["write"])
    from croissant_recipes.render import findings, label_table

    if flags["form"] == "json":
        click.echo(label_table.as_json(result))
    else:
        _echo_err(findings.diagnostics(result.diagnostics, quiet=flags["quiet"], paint=paint_for(sys.stderr)))
        if not flags["quiet"] and (result.rows or not result.diagnostics):
            click.echo(label_table.as_text(result))
    sys.exit(api.diagnostics_exit_code(result.diagnostics))


@main.command(epilog=_examples("schema > recipe.schema.json", "schema --fragment > fragment.schema.json"))
@click.option("--fragment", is_flag=True, help="That of fragments, which recipes include.")
@click.option("--saved-plan", "of_saved", is_flag=True, help="That of what `plan --save` writes.")
@click.option("--plan", "of_plan", is_flag=True, help="That of what `plan --format json` prints.")
def schema(fragment: bool, of_saved: bool, of_plan: bool) -> None:
    """Print the JSON Schema of the recipe format, for editors."""
    from croissant_recipes import api

    if fragment + of_saved + of_plan > 1:
        raise click.UsageError("--fragment, --saved-plan and --plan exclude each other")
    if of_plan or of_saved:
        click.echo(api.plan_schema_text() if of_plan else api.saved_plan_schema_text(), nl=False)
    else:
        click.echo(api.schema_text(fragment=fragment), nl=False)


@main.command(
    epilog=_examples(
        "init --config project.json -o recipe.yaml",
        "init --datasets 10440,10441 -o recipe.yaml",
        "init --depositions 10351 -o recipe.yaml",
    )
)
@click.option("--config", metavar="PATH", help="A copick config to describe.")
@click.option("--datasets", metavar="IDS", help="Dataset ids of the CryoET Data Portal, separated by commas.")
@click.option(
    "--depositions",
    metavar="IDS",
    help="Deposition ids, separated by commas: the datasets in which one has a tomogram or an annotation.",
)
@click.option("--portal-url", metavar="URL", help="Another GraphQL endpoint than the portal's own.")
@click.option("-o", "--output", metavar="PATH", help="Write the recipe here instead of printing it.")
@click.option("--force", is_flag=True, help="Replace the file.")
def init(
    config: str | None,
    datasets: str | None,
    depositions: str | None,
    portal_url: str | None,
    output: str | None,
    force: bool,
) -> None:
    """Write a first recipe from what a project or the portal holds.

    Its comments list what there is. What only you know, such as the licence, is left for you to fill in.
    """
    from croissant_recipes import api
    from croissant_recipes.stores import single_files

    of_portal = {"--datasets": _ids("--datasets", datasets), "--depositions": _ids("--depositions", depositions)}
    if (config is None) == (datasets is None and depositions is None):
        raise click.UsageError("give either --config, or --datasets or --depositions or both")
    if output is not None and Path(output).exists() and not force:
        raise click.UsageError(f"{output} exists; --force replaces it")
    if output is not None:
        _writing(lambda: single_files.refuse_file(output))
    folder = Path(output).resolve().parent if output else Path.cwd()
    text, found = api.starter_recipe(
        config=config,
        datasets=of_portal["--datasets"],
        depositions=of_portal["--depositions"],
        portal_url=portal_url,
        folder=folder,
    )
    for diagnostic in found:
        click.echo(diagnostic.text(paint_for(sys.stderr)), err=True)
    if text is not None and output is not None:
        content = text.encode()
        _writing(lambda: single_files.write_file(output, content))
        told = f"Wrote {output}. Fill in its license and date_published, then: croissant-recipe plan {output}"
        click.echo(printable(told))
    elif text is not None:
        click.echo(text, nl=False)
    sys.exit(api.diagnostics_exit_code(found))


def _ids(option: str, text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < number < 2**31 for number in found):
        what = option.removeprefix("--").removesuffix("s")
        raise click.UsageError(f"{option} {text}: {what} ids are whole numbers separated by commas")
    return found


def _params(settings: tuple[str, ...]) -> dict[str, str]:
    params = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--set {setting}: write NAME=VALUE")
        params[name] = value
    return params


_ONE_RECIPE = {
    "output": "output",
    "base_url": "base-url",
    "emit_config": "emit-config",
    "save": "save",
    "saved": "plan",
}
"""Flags that mean one recipe, as people write them."""


def _options(flags: dict[str, Any]) -> Options:
    several = len(flags["recipes"]) > 1
    for flag, name in _ONE_RECIPE.items():
        if several and flags.get(flag):
            raise click.UsageError(f"--{name} goes with one recipe")
    if flags["refresh"] and flags["offline"]:
        raise click.UsageError("--refresh and --offline exclude each other")
    for word in flags["allow"]:
        if (problem := allowing.problem(word)) is not None:
            raise click.UsageError(f"--allow {problem}")
    return Options(
        params=_params(flags["settings"]),
        output=flags["output"],
        base_url=flags["base_url"],
        file_sha256=not flags["no_file_sha256"],
        jobs=flags["jobs"] or default_jobs(),
        strict=flags["strict"],
        cache="refresh" if flags["refresh"] else "offline" if flags["offline"] else "use",
        on_drift=flags.get("on_drift", "stop"),
        force=bool(flags.get("force")),
        allow=frozenset(flags["allow"]),
        points=flags.get("points"),
    )


def _progress(flags: dict[str, Any]) -> Any:
    if flags["quiet"] or flags["form"] != "text":
        return None
    from croissant_recipes import terminal

    return terminal.progress_for(sys.stderr)


def _report_files(flags: dict[str, Any]) -> dict[str, Format]:
    """The files to write reports to, each with its format; before a source is read, that they can be written."""
    from croissant_recipes.stores import single_files

    files = {path: of_file(path, flags["form"]) for path in flags["reports"]}
    for path in files:
        _writing(lambda path=path: single_files.refuse_file(path))  # type: ignore[misc]
    chosen = [f"--{flag}" for flag in ("full", "only") if flags[flag]]
    if chosen and not any(form.chooses for form in (*files.values(), FORMATS[flags["form"]])):
        raise click.UsageError(
            f"{' and '.join(chosen)}: {flags['form']} has all rows; text and Markdown show a part of them"
        )
    return files


def _report(reports: Sequence[Report], flags: dict[str, Any], files: Mapping[str, Format] | None = None) -> None:
    """Shows what would change, on standard output and in files."""
    from croissant_recipes.render import findings
    from croissant_recipes.render.view import View
    from croissant_recipes.stores import single_files
    from croissant_recipes.terminal import width_of

    files = files or {}
    view = View(full=flags.get("full", False), verbose=flags["verbose"], only=frozenset(flags.get("only", ())))
    for path, form in files.items():
        content = f"{form.makes(reports, view)}\n".encode()
        _writing(lambda path=path, content=content: single_files.write_file(path, content))  # type: ignore[misc]
    # What is asked for and goes to a file is not told twice.
    form = FORMATS["text"] if FORMATS[flags["form"]] in files.values() else FORMATS[flags["form"]]
    if not form.tells_findings:
        # A plan shows in its layers what they replace, and who asked for a config with an overlay has what is advised.
        told_already = {Code.SHADOWED, *([Code.OVERLAY_NEEDED] if flags.get("config_overlay") else [])}
        found = dict.fromkeys(d for r in reports for d in r.findings if d.code not in told_already)
        _echo_err(findings.diagnostics(found, quiet=flags["quiet"], paint=paint_for(sys.stderr)))
    if flags["quiet"] and form is FORMATS["text"]:
        return
    text = form.makes(reports, replace(view, width=width_of(sys.stdout), paint=paint_for(sys.stdout)))
    if text:
        click.echo(text)
    for path in files:
        _echo_err(printable(f"Wrote {path}.") if not flags["quiet"] else "")


def _told(results: tuple[Planned, ...], flags: dict[str, Any]) -> None:
    """Says what a build did."""
    reports = [result.report for result in results]
    if flags["form"] == "json":
        from croissant_recipes.render import as_json

        click.echo(as_json.reports(reports))
        return
    from croissant_recipes.render import findings, text

    told_already = {Code.OVERLAY_NEEDED} if flags["config_overlay"] else set()
    for _, group in groupby(reports, key=lambda r: r.path):
        of_recipe = list(group)
        found = dict.fromkeys(d for r in of_recipe for d in r.findings if d.code not in told_already)
        _echo_err(findings.diagnostics(found, quiet=flags["quiet"], paint=paint_for(sys.stderr)))
        for report in of_recipe:
            if not flags["quiet"] and (report.written or all(r.ok for r in reports)):
                click.echo(text.built(report))
    if not all(r.ok for r in reports) and not any(r.written for r in reports):
        click.echo("Nothing was written.", err=True)


def _echo_err(text: str) -> None:
    if text:
        click.echo(text, err=True)


def _writing(do: Callable[[], None]) -> None:
    """Ends the command where a file cannot be written."""
    try:
        do()
    except DiagnosticError as error:
        for found in error.diagnostics:
            _echo_err(found.text(paint_for(sys.stderr)))
        sys.exit(Code.NOT_WRITABLE.exit_code)


def _emitted(flags: dict[str, Any]) -> dict[str | None, tuple[str, str | None]]:
    """The configs to write, each with its overlay, by the results that they open."""
    if not flags["emit_config"] or flags["dry_run"] or flags["check"]:
        return {}
    from croissant_recipes import api

    path, overlay = flags["emit_config"], flags["config_overlay"]
    names = api.output_names(flags["recipes"][0], _params(flags["settings"]))
    if not names:
        return {None: (path, overlay)}
    for flag, value in (("emit-config", path), ("config-overlay", overlay)):
        if value and "{output}" not in value:
            hint = f"write {{output}} where the name of each ({', '.join(names)}) goes"
            raise click.UsageError(f"--{flag} {value}: the recipe has several outputs; {hint}")
    return {
        name: (path.replace("{output}", name), overlay.replace("{output}", name) if overlay else None) for name in names
    }


def _refuse_saved_plan(path: str) -> None:
    from croissant_recipes import saved_plans
    from croissant_recipes.stores import single_files

    _writing(lambda: single_files.refuse_file(path, saved_plans.is_such, "saved plan", limit=saved_plans.LIMIT))


def _refuse_targets(path: str, overlay: str | None) -> None:
    """Before a source is read: what is written at the end can be written."""
    from croissant_recipes.opening import emitted_config
    from croissant_recipes.stores import single_files

    what = "copick config of a Croissant"
    _writing(lambda: single_files.refuse_file(path, emitted_config.is_such, what))
    if overlay:
        place = Location.parse(overlay)
        if place.is_local:
            _writing(lambda: single_files.refuse_folder(place.path))


def _emit_config(result: Planned, path: str, overlay: str | None) -> None:
    from croissant_recipes.opening import emitted_config
    from croissant_recipes.stores import single_files

    assert result.plan is not None
    assert result.output is not None
    content = result.plan.content
    place = Location.parse(overlay) if overlay else None
    config = emitted_config.emit(str(result.output.metadata), content.base_url, place, content.tables)
    _writing(lambda: single_files.write_file(path, config))
