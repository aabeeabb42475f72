#!/bin/sh
# Brings the original of a lesson back and keeps the learner's beside it: NOTEBOOK is its number.
# Run from the project's folder.
set -eu

stop() {
    echo "$@" >&2
    exit 1
}

number=${NOTEBOOK:-}
case $number in
[0-9]) number=0$number ;;
[0-9][0-9]) ;;
*) stop "Which lesson? Give its number, as in: make fresh NOTEBOOK=03" ;;
esac
command -v git >/dev/null || stop "The originals are in git, and git is not installed here."
# A lesson that was deleted is still known to git; a folder from a ZIP file is not known at all.
known=$(git ls-files -- 'notebooks/[0-9][0-9]_*.ipynb' 2>/dev/null) || known=
[ -n "$known" ] || stop "This folder was not made by git clone, so it holds no originals. Download" \
    "the project again, rename your notebook here, and copy the new one beside it."
lesson=$(printf '%s\n' "$known" | grep -m 1 "^notebooks/${number}_") ||
    stop "There is no lesson $number, but these:" $(printf '%s\n' "$known" | cut -c 11-12)
if git diff --quiet HEAD -- "$lesson"; then
    echo "$lesson is as it came; nothing was done."
    exit 0
fi
if [ -e "$lesson" ]; then
    own=notebooks/my_$(basename "$lesson" .ipynb)_$(date +%Y-%m-%d_%H%M)
    copy=$own.ipynb
    more=2
    while [ -e "$copy" ]; do
        copy=${own}_$more.ipynb
        more=$((more + 1))
    done
    cp -p "$lesson" "$copy"
    echo "Yours is kept as $copy, as it was last saved."
fi
# In one step, so that an interruption leaves the one or the other.
trap 'rm -f "$lesson.part"' EXIT
git show "HEAD:$lesson" >"$lesson.part"
mv "$lesson.part" "$lesson"
echo "$lesson is the original again. If it is open in JupyterLab, close it without saving (or" \
    "choose File → Reload Notebook from Disk) and open it again."
