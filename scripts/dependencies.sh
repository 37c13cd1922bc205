#!/bin/bash
# dependencies.sh
#
# Installs from the distribution's packages what is missing to build and test
# pneumo, and nothing when nothing is missing.  Works as root and as a user
# with sudo.  No database cluster is created and no service is started: the
# server's packages would, so they are told not to for as long as this runs.

source "$(dirname "$0")/common.sh"

missing=()          # what is missing, in words
packages=()         # Debian's names for it

lack()
{
    missing+=("$1")
    shift
    packages+=("$@")
}

have_header()
{
    echo "#include <stdio.h>
#include <$1>" | cc -E - > /dev/null 2>&1
}

# The distribution's PostgreSQL, unless one is there that only lacks headers.
server_version()
{
    local version

    version=$(ls -d /usr/lib/postgresql/*/bin/postgres 2> /dev/null | cut -d/ -f5 | sort -rn | head -n 1)
    if [[ -z $version ]] && command -v apt-cache > /dev/null; then
        version=$(apt-cache depends postgresql 2> /dev/null |
            sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
    fi
    echo "${version:-15}"
}

find_missing()
{
    local version

    missing=()
    packages=()
    version=$(server_version)
    command -v cc > /dev/null && command -v make > /dev/null && command -v ar > /dev/null ||
        lack "a C compiler and make" build-essential
    find_pg_config > /dev/null ||
        lack "PostgreSQL $version with its server headers" "postgresql-$version" "postgresql-server-dev-$version"
    have_header jpeglib.h || lack "libjpeg's headers" libjpeg62-turbo-dev
    have_header png.h || lack "libpng's headers" libpng-dev
    have_header zlib.h || lack "zlib's headers" zlib1g-dev
    have_header protobuf-c/protobuf-c.h || lack "protobuf-c's headers" libprotobuf-c-dev
    if [[ ${WITH_DICOM:-1} != 0 ]]; then
        [[ -n $(make -s -C "$ROOT" print-IMAGE_CPPFLAGS) ]] || lack "OpenJPEG's headers" libopenjp2-7-dev
        have_header charls/charls.h || lack "CharLS's headers" libcharls-dev
    fi
    # Not grep -q: it would leave ldconfig writing into a closed pipe.
    { ldconfig -p 2> /dev/null || /sbin/ldconfig -p; } | grep 'libopenblas\.so\.0' > /dev/null ||
        lack "OpenBLAS" libopenblas0-pthread
    perl -MIPC::Run -e 1 2> /dev/null || lack "Perl's IPC::Run" libipc-run-perl
}

find_missing
if ((${#missing[@]} == 0)); then
    exit 0
fi

list=$(printf '%s, ' "${missing[@]}")
list=${list%, }
if ! command -v apt-get > /dev/null; then
    die "missing: $list. This system has no apt; install its packages for them" \
        "(on Debian: ${packages[*]}) and run this again"
fi

if [[ $(id -u) -eq 0 ]]; then
    as_root=()
elif command -v sudo > /dev/null; then
    as_root=(sudo)
else
    die "missing: $list. Run as root: apt-get install ${packages[*]}"
fi

say "installing ${packages[*]}"

# postgresql-common reads this folder when it decides whether to make a
# cluster; the file is there only during the installation.
config_dir=/etc/postgresql-common/createcluster.d
config_file=$config_dir/pneumo-check.conf
made=()
for folder in /etc/postgresql-common "$config_dir"; do
    if [[ ! -d $folder ]]; then
        "${as_root[@]}" mkdir "$folder"
        made=("$folder" "${made[@]}")
    fi
done
clean_up()
{
    "${as_root[@]}" rm -f "$config_file"
    for folder in "${made[@]}"; do
        "${as_root[@]}" rmdir "$folder" 2> /dev/null || true
    done
}
trap clean_up EXIT
echo "create_main_cluster = false" | "${as_root[@]}" tee "$config_file" > /dev/null

"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update ||
    die "apt-get update failed; the packages needed are: ${packages[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${packages[@]}" ||
    die "apt-get could not install ${packages[*]}"

find_missing
if ((${#missing[@]} > 0)); then
    list=$(printf '%s, ' "${missing[@]}")
    die "still missing after the installation: ${list%, }"
fi
