"""`pgtv completion bash|zsh|fish`: the script that makes the shell complete commands and options."""

from __future__ import annotations

import click

from pgtv.errors import Exit

# where each shell looks by itself
HINTS = {
    "bash": "pgtv completion bash > ~/.local/share/bash-completion/completions/pgtv",
    "zsh": 'pgtv completion zsh > "${fpath[1]}/_pgtv"',
    "fish": "pgtv completion fish > ~/.config/fish/completions/pgtv.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(HINTS)))
def completion(shell: str) -> int:
    """Print the completion script of SHELL.

    \b
    pgtv completion bash > ~/.local/share/bash-completion/completions/pgtv
    pgtv completion zsh > "${fpath[1]}/_pgtv"
    pgtv completion fish > ~/.config/fish/completions/pgtv.fish
    """
    from click.shell_completion import get_completion_class

    from pgtv.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "pgtv", "_PGTV_COMPLETE")
    # source() would start the shell to ask for its version; the script needs none
    click.echo(script.source_template % script.source_vars())
    return Exit.HEALTHY
