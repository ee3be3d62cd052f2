"""`anymask serve`: the studio in the browser, and the HTTP API."""

from pathlib import Path
from typing import Annotated

import typer

from anymask.cli.options import Device, Precision, note
from anymask.errors import AnymaskError, MissingExtraError, ModelError

EXAMPLES = """\
[bold]Examples[/bold]

  anymask serve

  anymask serve --projects annotations/ --model pocket --model mobile_sam

  anymask serve --host 0.0.0.0 --port 7000 --log json     (with ANYMASK_API_KEY set)

docs/server.md has the API, and how to run it for a team.
"""

LOCAL = ("localhost", "127.0.0.1", "::1")
WHO, HOW_MUCH, WHAT = "Who may use it", "How much it takes", "What it offers"


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME[=FILE]",
            rich_help_panel=WHAT,
            show_default=False,
            help="A model that requests may choose, perhaps opened from a file of yours; repeatable, the first is the "
            "default. Without it: pocket and all whose weights are on this machine.",
        ),
    ] = None,
    projects: Annotated[
        Path | None,
        typer.Option(
            "--projects",
            rich_help_panel=WHAT,
            show_default=False,
            help="The folder that annotation projects are kept in; made when first needed. "
            "Default: anymask-projects in this folder.",
        ),
    ] = None,
    no_projects: Annotated[
        bool, typer.Option("--no-projects", help="Keep nothing that users make.", rich_help_panel=WHAT)
    ] = False,
    fetch_urls: Annotated[
        bool,
        typer.Option("--fetch-urls", help="Fetch pictures from public addresses for clients.", rich_help_panel=WHAT),
    ] = False,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; 0.0.0.0 for all.", rich_help_panel=WHO)
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 for any that is free.")] = 7000,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            envvar="ANYMASK_API_KEY",
            rich_help_panel=WHO,
            show_default=False,
            help="What every client must give. Better given by the environment, where other users cannot see it.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            rich_help_panel=WHO,
            show_default=False,
            help="A host name that clients use for this server; with it no other is answered. Repeatable.",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            "--cors",
            metavar="ORIGIN",
            rich_help_panel=WHO,
            show_default=False,
            help="Pages of this origin may use the API; repeatable.",
        ),
    ] = None,
    max_upload: Annotated[int, typer.Option("--max-upload", min=1, help="MB.", rich_help_panel=HOW_MUCH)] = 64,
    max_pixels: Annotated[
        int, typer.Option("--max-pixels", min=1, help="Millions of pixels.", rich_help_panel=HOW_MUCH)
    ] = 128,
    memory: Annotated[
        int, typer.Option("--memory", min=16, help="MB of pictures and embeddings.", rich_help_panel=HOW_MUCH)
    ] = 1024,
    disk: Annotated[
        int, typer.Option("--disk", min=16, help="MB of uploads, kept for a while.", rich_help_panel=HOW_MUCH)
    ] = 4096,
    videos: Annotated[
        int, typer.Option("--videos", min=1, help="Videos that are open at a time.", rich_help_panel=HOW_MUCH)
    ] = 4,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Pictures worked on at a time.", rich_help_panel=HOW_MUCH)
    ] = 2,
    waiting: Annotated[
        int, typer.Option("--waiting", min=1, help="Requests that may wait; more get 503.", rich_help_panel=HOW_MUCH)
    ] = 64,
    per_client: Annotated[
        int, typer.Option("--per-client", min=1, help="Requests of one client; more get 429.", rich_help_panel=HOW_MUCH)
    ] = 64,
    log: Annotated[str, typer.Option("--log", help="text or json.")] = "text",
    log_level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """A page in the [bold]browser[/bold] for all of it, and an HTTP API for programs.

    Nobody but this machine can reach it unless --host says so; then give it a key.
    """
    try:
        from anymask.server.serve import serve as run
        from anymask.server.settings import MEGABYTE, Settings
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'{error.name} is not installed: pip install "anymask[serve]".') from None
    from anymask.catalog import models

    if log not in ("text", "json"):
        raise AnymaskError(f"The log is text or json, not {log!r}.")
    if log_level not in ("debug", "info", "warning", "error"):
        raise AnymaskError(f"The log's level is debug, info, warning or error, not {log_level!r}.")
    if key is not None and not key.strip():
        raise AnymaskError("The key is empty; leave it out for a server without one.")
    given = dict(_named(one) for one in model or [])
    names = list(given) or ["pocket", *(entry.name for entry in models(installed=True) if entry.name != "pocket")]
    local = host in LOCAL
    if not local and key is None:
        note(f"Everybody who can reach {host}:{port} can use this server; set ANYMASK_API_KEY to ask for a key.")
    settings = Settings(
        models=tuple(names),
        weights={name: path for name, path in given.items() if path is not None},
        device=device,
        precision=precision,
        api_key=key,
        hosts=tuple(name) if name else LOCAL if local else (),
        origins=tuple(cors or ()),
        max_upload=max_upload * MEGABYTE,
        max_pixels=max_pixels * 1_000_000,
        memory=memory * MEGABYTE,
        disk=disk * MEGABYTE,
        videos=videos,
        workers=workers,
        waiting=waiting,
        per_client=per_client,
        fetch_urls=fetch_urls,
        projects=None if no_projects else (projects or Path("anymask-projects")).absolute(),
    )

    def told(address: str) -> None:
        address = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
        note(f"anymask is at {address} (Ctrl-C ends it)")
        if open_page:
            import webbrowser

            webbrowser.open(address)

    run(settings, host, port, log_format=log, log_level=log_level, on_ready=told)


def _named(text: str) -> tuple[str, Path | None]:
    """NAME or NAME=FILE. Raises ModelError for a file that is not there."""
    name, separator, path = text.partition("=")
    if separator and not Path(path).exists():
        raise ModelError(f"The weights of {name} are not at {path}.")
    return name, Path(path) if separator else None
