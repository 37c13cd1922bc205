#!/bin/bash
# check-avx512.sh [TEST ...]
#
# The unit tests of the network core on an emulated processor with AVX-512 and
# VNNI, for machines that have none: Bochs boots a Debian kernel with nothing but
# the tests.  TEST is one of tests/unit without test_; all that are named here
# take half an hour.  KERNEL: a vmlinuz; without it Debian's is downloaded.
#
# The tests of single kernels run the path avx512 alone (PNEUMO_TEST_PATH) and
# one shape of a convolution in SHARE (7).

source "$(dirname "$0")/common.sh"

PACKAGES="bochs bochsbios bochs-term vgabios isolinux syslinux-common xorriso cpio busybox-static"
TESTS=("$@")
if ((${#TESTS[@]} == 0)); then
    TESTS=(nn_golden nn_fast nn_precision nn_model nn_train dense_int16 nn_conv3_int16 kernels)
fi

for program in bochs xorriso cpio busybox script; do
    command -v $program > /dev/null || die "$program is missing. On Debian: apt-get install $PACKAGES"
done
WORK=$BUILD/avx512
rm -rf "$WORK"
mkdir -p "$WORK"/{root/bin,root/tests,root/proc,root/dev,disc/isolinux}

say "building"
make -s -C "$ROOT" unit-build UNIT_DIR="$BUILD/unit-static" WITH_DICOM=0 \
    UNIT_LIBS="-static -ljpeg -lpng -lz -lpthread -lm" \
    UNIT_PROGRAMS="${TESTS[*]/#/$BUILD/unit-static/test_}"
for test in "${TESTS[@]}"; do
    strip -o "$WORK/root/test_$test" "$BUILD/unit-static/test_$test"
done
cp -r "$ROOT/tests/golden" "$WORK/root/tests/"
cp "$(command -v busybox)" "$WORK/root/bin/"

if [[ -z ${KERNEL:-} ]]; then
    say "downloading a kernel"
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
    (cd "$WORK" && apt-get -qq download "$package" && dpkg-deb -x "$package"_*.deb kernel)
    KERNEL=$(ls "$WORK"/kernel/boot/vmlinuz-*)
fi
cp "$KERNEL" "$WORK/disc/vmlinuz"

# Each line goes to the serial port, which Bochs writes to a file.
cat > "$WORK/root/init" << END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
echo "processors with AVX-512 and VNNI: \$(/bin/busybox grep -c 'avx512f.*avx512_vnni' /proc/cpuinfo)"
export PNEUMO_TEST_PATH=avx512 PNEUMO_TEST_SHARE=${SHARE:-7}
for test in ${TESTS[*]}; do
    echo "test \$test"
    ./test_\$test 2>&1
    echo "test \$test: status \$?"
done
echo "all done"
/bin/busybox poweroff -f
END
chmod +x "$WORK/root/init"
(cd "$WORK/root" && find . | cpio -o -H newc --quiet | gzip > "$WORK/disc/initrd.gz")

# Bochs 2.7 gives sizes of the compacted XSAVE area that Linux does not accept, and fast string
# instructions (FSRM) that are turned off (ERMS), which no real processor does: they are left out.
without=fsrm,erms,pku,ospke,xsavec,xsaves,xgetbv1
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$WORK/disc/isolinux/"
cat > "$WORK/disc/isolinux/isolinux.cfg" << END
DEFAULT tests
PROMPT 0
LABEL tests
 KERNEL /vmlinuz
 INITRD /initrd.gz
 APPEND console=ttyS0,115200 quiet nokaslr mitigations=off lsm=capability noxsaves clearcpuid=$without rdinit=/init
END
xorriso -as mkisofs -quiet -o "$WORK/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$WORK/disc" 2> /dev/null
cat > "$WORK/bochsrc" << END
plugin_ctrl: unmapped=true, biosdev=true, serial=true
config_interface: textconfig
display_library: term
memory: guest=512, host=512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_icelake_u, count=1, ips=50000000, ignore_bad_msrs=1
ata0-master: type=cdrom, path=$WORK/disc.iso, status=inserted
boot: cdrom
com1: enabled=true, mode=file, dev=$WORK/serial.log
log: $WORK/bochs.log
panic: action=fatal
error: action=report
END
echo continue > "$WORK/start"

say "booting; $WORK/serial.log shows how far it is"
touch "$WORK/serial.log"
# The terminal that its screen needs; it does not end by itself when the guest does.
TERM=xterm setsid script -qec "bochs -q -f $WORK/bochsrc -rc $WORK/start" /dev/null \
    > "$WORK/screen.log" 2>&1 < /dev/null &
emulator=$!
trap 'kill -- -$emulator 2> /dev/null || true' EXIT
while kill -0 $emulator 2> /dev/null && ! grep -aq "^all done" "$WORK/serial.log"; do
    sleep 5
done

tr -d '\r' < "$WORK/serial.log" > "$WORK/tests.log"
grep -a -A 3 '^not ok' "$WORK/tests.log" || true
grep -a -E '^(test .*status|[0-9]+ passed,)' "$WORK/tests.log" || true
grep -aq "^all done" "$WORK/tests.log" || die "the emulator stopped early; see $WORK/screen.log and $WORK/serial.log"
grep -aq "AVX-512 and VNNI: 1" "$WORK/tests.log" || die "the emulated processor has no AVX-512; see $WORK/serial.log"
! grep -aq -E '^test .*: status [^0]' "$WORK/tests.log"
