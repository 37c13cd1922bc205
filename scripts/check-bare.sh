#!/bin/bash
# check-bare.sh [SUITE...]
#
# `make check-bare`: what a newcomer does, on a machine that has nothing.  For each
# Debian release (bookworm and trixie) a system is made by debootstrap, with sudo
# and git in addition to its base, and root and then a user with sudo run the
# commands of the pages as they are printed, in their order: README's first ones
# (make demo, Install), its session, the sessions of docs/ and their commands.
# Needs root, debootstrap and the distribution's packages; takes an hour or so.
#
#   WHO="root newcomer"   who runs them
#   KEEP=1                leaves the systems in build/bare

source "$(dirname "$0")/common.sh"
cd "$ROOT"

(($# > 0)) || set -- bookworm trixie
WHO=${WHO:-root newcomer}
[[ $(id -u) -eq 0 ]] || die "debootstrap and chroot need root"
command -v debootstrap > /dev/null || die "debootstrap is missing"
results=()
bad=0

# Makes a system in the folder $1 of the release $2, with the checkout in /home/$3/pneumo.
make_system()
{
    local system=$1
    local suite=$2
    local user=$3
    local home=$system/home/$user

    debootstrap --variant=minbase --include=sudo,git,ca-certificates "$suite" "$system" > "$system.log" 2>&1 ||
        { tail -n 5 "$system.log"; die "debootstrap $suite failed"; }
    mount -t proc proc "$system/proc"
    mount -t devpts devpts "$system/dev/pts"
    mkdir -p "$system/dev/shm"
    mount -t tmpfs tmpfs "$system/dev/shm"
    # it has no network name of its own
    cp /etc/resolv.conf /etc/hosts /etc/hostname "$system/etc/"
    if [[ $user == root ]]; then
        home=$system/root
    else
        chroot "$system" useradd -m -s /bin/bash "$user"
        echo "$user ALL=(ALL) NOPASSWD: ALL" > "$system/etc/sudoers.d/$user"
    fi
    chroot "$system" apt-get -qq update >> "$system.log" 2>&1
    git clone -q --no-hardlinks "$ROOT" "$home/pneumo"
    [[ $user == root ]] || chroot "$system" chown -R "$user:" "/home/$user/pneumo"
}

remove_system()
{
    local system=$1
    local folder

    # its servers would keep it mounted
    for folder in /proc/[0-9]*; do
        [[ $(readlink "$folder/root" 2> /dev/null) == "$system" ]] && kill -9 "${folder#/proc/}" 2> /dev/null
    done || true
    sleep 1
    for folder in dev/shm dev/pts proc; do
        umount "$system/$folder" || umount -l "$system/$folder"
    done
    [[ -n ${KEEP:-} ]] || rm -rf --one-file-system "$system"
}

# Runs a step of the script below as the user; says how long it took.
step()
{
    local system=$1
    local user=$2
    local name=$3
    local begin=$SECONDS

    # apt-get asks a newcomer, who answers yes
    if chroot "$system" su - "$user" -c \
        'export USER=$(id -un) DEBIAN_FRONTEND=noninteractive; cd pneumo && bash -euo pipefail' \
        >> "$system.log" 2>&1; then
        echo "  $name: $((SECONDS - begin)) s"
    else
        echo "  $name: FAILED after $((SECONDS - begin)) s, see $system.log"
        tail -n 15 "$system.log" | sed 's/^/    /'
        return 1
    fi
}

# The commands of one page, with the folder of X-rays that README speaks of.
walk()
{
    local system=$1
    local user=$2
    local debian=$3
    local page

    echo 'Apt::Get::Assume-Yes "true";' > "$system/etc/apt/apt.conf.d/90yes"
    scripts/page-examples.pl shell README.md "$debian" before | sed '/DATA=folder/,$d' |
        step "$system" "$user" "make demo" || return 1
    step "$system" "$user" "make demo DATA=folder" << 'SCRIPT' || return 1
for split in train val test; do
    for class in NORMAL PNEUMONIA; do
        mkdir -p "folder/$split/$class"
        for i in $(seq 40); do
            build/demo/psql -qAtc "SELECT encode(pneumo_phantom(
                ('x' || md5('$split$class$i'))::bit(24)::integer, '$class', 128), 'hex')" |
                perl -ne 'chomp; print pack("H*", $_)' > "folder/$split/$class/$i.jpeg"
        done
    done
done
make demo DATA=folder
make demo-stop
mv folder/train/NORMAL .
rm -r folder
sudo apt-get install xxd # as docs/recipes.md says
SCRIPT
    {
        scripts/page-examples.pl shell README.md "$debian" before | sed '1,/DATA=folder/d' |
            sed '/^sudo -u postgres/i pg_lsclusters -h | grep -q online || sudo service postgresql start'
    } | step "$system" "$user" "Install" || return 1
    echo 'INSTALLED=1 scripts/check-readme.sh' | step "$system" "$user" "the sessions of README and docs" || return 1
    scripts/page-examples.pl shell README.md "$debian" after |
        step "$system" "$user" "README's commands after it" || return 1
    for page in docs/*.md; do
        scripts/page-examples.pl shell "$page" "$debian" before > "$system.sh"
        scripts/page-examples.pl shell "$page" "$debian" after >> "$system.sh"
        [[ -s $system.sh ]] || continue
        {
            echo "export PGDATABASE=docs"
            cat "$system.sh"
        } | step "$system" "$user" "$page" || return 1
    done
}

mkdir -p build/bare
for suite in "$@"; do
    case $suite in
        bookworm) debian=12 ;;
        trixie) debian=13 ;;
        *) debian= ;;
    esac
    for user in $WHO; do
        system=$ROOT/build/bare/$suite-$user
        say "$suite, $user"
        make_system "$system" "$suite" "$user"
        if walk "$system" "$user" "$debian"; then
            results+=("$suite, $user: passed")
        else
            results+=("$suite, $user: FAILED")
            ((++bad))
        fi
        remove_system "$system"
    done
done
say "all"
printf '%s\n' "${results[@]}"
((bad == 0))
