"""What differs between the shells the harness talks to, and the few functions it teaches each of them.

The invariant: nothing typed at a shell is longer than `LINE` bytes, and what is typed between quotes holds no character that a shell
would act on if a quote were lost on the way.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

LINE = 250
"""Bytes of a typed line with its newline: a tty in canonical mode may cut at 256 (QNX devc-ser8250, option -C)."""
EMPTY = 4294967295
"""What `cksum` prints for nothing: most commands say nothing, and need not start it."""
INLINE = 4096
"""Bytes of output that come with the answer; more is fetched in pieces."""


@dataclass(frozen=True)
class Dialect:
    """A shell with its builtins."""

    name: str
    quiet: str
    """Switches off line editing and echo. Editing goes first: an editor echoes whatever the tty does, and restores the tty's modes."""
    emit: str
    """Prints its argument without a newline, `\\0ooo` as the byte with that octal number."""
    remember: str = ":"
    """Keeps in `_h4` which line editor `quiet` is about to switch off."""
    restore: str = "stty echo"
    """Takes back what `quiet` did."""


KSH = Dialect(
    "ksh",
    "set +o emacs +o vi; stty -echo",
    "print -n --",
    remember="_h4=; [ -o emacs ] && _h4=emacs; [ -o vi ] && _h4=vi",
    restore='stty echo; [ ! "$_h4" ] || set -o $_h4',
)
"""The QNX host's shell (mksh on a board made of software)."""

ASH = Dialect("ash", "stty -echo", "printf %b")
"""busybox's shell. Its editor keeps off a tty that does not echo."""

DIALECTS = {dialect.name: dialect for dialect in (KSH, ASH)}

_UNSAFE = frozenset(b"'\"\\$`;&|<>()")


def fresh_nonce() -> str:
    """What no console says by chance; from the system's random source: a seeded one would repeat itself."""
    return os.urandom(3).hex()


def encode(data: bytes) -> list[str]:
    """`data` as units for `Dialect.emit`: each a character that means nothing to a shell, or `\\0ooo`."""
    return [chr(byte) if 0x20 <= byte < 0x7F and byte not in _UNSAFE else f"\\0{byte:03o}" for byte in data]


def pieces(data: bytes, length: int) -> list[str]:
    """`data` encoded, cut into strings of at most `length` characters; never within a unit."""
    found = [""]
    for unit in encode(data):
        if len(found[-1]) + len(unit) > length:
            found.append("")
        found[-1] += unit
    return found


def blocks_of(text: str, length: int) -> list[str]:
    """Whole lines joined to blocks of at most `length` characters."""
    blocks: list[str] = []
    for line in text.splitlines():
        if blocks and len(blocks[-1]) + 1 + len(line) <= length:
            blocks[-1] += "\n" + line
        else:
            blocks.append(line)
    return blocks


def functions(dialect: Dialect, base: str) -> str:
    """What a shell is taught. Files are BASE.s (script), .i (input), .o and .e (output), .c (a piece of one).

    `_hp HALF HALF NUMBER LENGTH FILE PIECE` adds a piece to a file, unless it is there or came damaged, and says which is next.
    `_hx HALF HALF CKSUM [SCRIPT]` runs a script once: its name is the nonce made of both halves. A damaged line does not run (`?`).
    `_hq HALF HALF` tells whether that script has run (`+`) or was never heard of (`!`).
    `_hr HALF HALF NUMBER` tells status, sizes and checksums of that script's run, before and after what it printed; `!` if it did not run.
    `_hg HALF HALF NUMBER OFFSET COUNT FILE` tells a piece of what it printed in the same way.
    `_hl HALF HALF` leaves, once: files, functions (but itself) and variables go; echo, line editor, prompts and terminal are as before.

    Nonces are typed in halves so that an echo of the line is never taken for the answer.
    """
    return f"""\
_hd= _ht= _hi=0 _hb={base}
_hp() {{
[ "$3" != 0 ] || {{ _hi=0; : >$_hb.$5; }}
[ "$3" != "$_hi" ] || [ "${{#6}}" != "$4" ] || {{ {dialect.emit} "$6" >>$_hb.$5; _hi=$((_hi+1)); }}
echo "$1$2.$_hi+"
}}
_hx() {{
if [ "$_hd" != "$1$2" ]; then
[ $# != 4 ] || {dialect.emit} "$4" >$_hb.s
set -- "$1" "$2" "$3" $(cksum <$_hb.s)
[ "$3 66" = "$4 ${{#1}}${{#2}}" ] || {{ echo "$1$2.?"; return; }}
_hd=$1$2 _ht=
( . $_hb.s ) </dev/null >$_hb.o 2>$_hb.e
_ht=$?
fi
_hr "$1" "$2" 0
}}
_hq() {{
[ "$_hd" = "$1$2" ] && echo "$1$2.+" || echo "$1$2.!"
}}
_hr() {{
[ "$_hd" = "$1$2" ] || {{ echo "$1$2.!"; return; }}
if [ -s $_hb.o ] || [ -s $_hb.e ]; then set -- "$3" $(cksum $_hb.o $_hb.e)
else set -- "$3" {EMPTY} 0 - {EMPTY} 0 -; fi
_hh="$_hd.$1<$_ht $2 $3 $5 $6>"
echo "$_hh"
[ $(($3+$6)) -gt {INLINE} ] || {{ [ $(($3+$6)) = 0 ] || cat $_hb.o $_hb.e; echo "$_hh"; }}
}}
_hg() {{
[ "$_hd" = "$1$2" ] || {{ echo "$1$2.!"; return; }}
tail -c +$4 $_hb.$6 | head -c $5 >$_hb.c
_hh="$1$2.$3<$(cksum <$_hb.c)>"
echo "$_hh"
cat $_hb.c
echo "$_hh"
}}
_hl() {{
if [ "$_hb" ]; then
rm -f $_hb.*
{dialect.restore}
PS1=$_h1 PS2=$_h2 TERM=$_h3
unset -f _hp _hx _hq _hr _hg
unset _h1 _h2 _h3 _h4 _hb _hd _hh _hi _ht
fi
echo "$1$2.-"
}}
"""


def remembered(dialect: Dialect) -> str:
    """Keeps in a shell's variables what `Shell.set_up` is about to change; its status is 0 once they hold it."""
    return f'_h1=$PS1 _h2=$PS2 _h3=$TERM; {dialect.remember}; [ "$_h1$_h2$_h3" = "$PS1$PS2$TERM" ]'
