#!/bin/sh
# Brings the original of a lesson back and keeps the learner's beside it: NOTEBOOK is its number.
# ORIGINAL names another commit to take it from. Run from the project's folder.
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
# git's reasons in English, so that they can be told apart.
if ! reason=$(LC_ALL=C git rev-parse --git-dir 2>&1); then
    case $reason in
    *"dubious ownership"*)
        stop "git does not read this folder because it belongs to another user, as is usual in" \
            "Docker and WSL. If you trust it, type this once, then the same command again:
$(printf '%s\n' "$reason" | grep -o 'git config --global --add safe.directory .*')"
        ;;
    *"not a git repository"*) known= ;;
    *) stop "git can't read this folder: $reason" ;;
    esac
else
    # A lesson that was deleted is still known to git; a folder from a ZIP file is not known at all.
    known=$(git ls-files -- 'notebooks/[0-9][0-9]_*.ipynb')
fi
[ -n "$known" ] || stop "This folder was not made by git clone, so it holds no originals. Download" \
    "the project again, rename your notebook here, and copy the new one beside it."
lesson=$(printf '%s\n' "$known" | grep -m 1 "^notebooks/${number}_") ||
    stop "There is no lesson $number, but these:" $(printf '%s\n' "$known" | cut -c 11-12)

# The commit to take the original from. Learners commit their own work, too: what they have not
# pushed is no original, nor is what they have made by their own name.
if [ -n "${ORIGINAL:-}" ]; then
    git cat-file -e "$ORIGINAL:./$lesson" 2>/dev/null ||
        stop "ORIGINAL=$ORIGINAL is no commit that holds $lesson: git log -- $lesson lists them."
    commit=$ORIGINAL
else
    start=
    for upstream in '@{upstream}' refs/remotes/origin/HEAD; do
        start=${start:-$(git merge-base HEAD "$upstream" 2>/dev/null)} || start=
    done
    me=$(git var GIT_AUTHOR_IDENT 2>/dev/null | sed 's/.*<\(.*\)>.*/\1/') || me=
    commits=$(git log --diff-filter=AM --format='%H %ae' "${start:-HEAD}" -- "$lesson" 2>/dev/null) ||
        stop "Nothing was committed here yet, so there is no original of $lesson."
    commit=$(printf '%s\n' "$commits" | awk -v me="$me" '$2 != me { print $1; exit }')
    # Where all are by the same name, the first one brought the lesson.
    commit=${commit:-$(printf '%s\n' "$commits" | awk 'END { print $1 }')}
    [ -n "$commit" ] || stop "No commit here holds $lesson, so there is no original of it."
fi
about=$(git show -s --date=short --format='commit %h, %ad, by %an' "$commit^{commit}")

if git diff --quiet "$commit" -- "$lesson"; then
    echo "$lesson is as it came ($about); nothing was done. To take it from another commit:" \
        "make fresh NOTEBOOK=$number ORIGINAL=COMMIT; git log -- $lesson lists them."
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
git show "$commit:./$lesson" >"$lesson.part"
mv "$lesson.part" "$lesson"
echo "$lesson is the original again ($about). If it is open in JupyterLab, close it without" \
    "saving (or choose File → Reload Notebook from Disk) and open it again."
