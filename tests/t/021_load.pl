# 021_load.pl
#
# pneumo-load, the client program: trees as people have them, manifests, DICOM
# media; resuming, rejected rows, interrupts, lost connections; and that the
# server's pneumo_load sees the same in a tree.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run qw(start finish timer);
use Time::HiRes qw(usleep);

use PneumoTest;

my $node = new_node('load');
my $top = $node->basedir . '/trees';
mkdir $top;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
delete $ENV{PGAPPNAME};

# The first bytes of a JPEG image, and a number that makes it another image.
my $made = 0;

sub jpeg
{
	return "\xff\xd8\xff\xe0" . pack('N', ++$made) . ($_[0] // '');
}

sub put_file
{
	my ($path, $bytes) = @_;
	my $folder = $path =~ s{/[^/]*$}{}r;

	system_or_bail('mkdir', '-p', $folder) unless -d $folder;
	open(my $file, '>:raw', $path) or die "$path: $!";
	print $file $bytes;
	close $file;
}

sub element
{
	my ($group, $element, $vr, $value) = @_;

	$value .= $vr eq 'UI' ? "\0" : ' ' if length($value) % 2;
	return pack('vva2', $group, $element, $vr)
	  . ($vr eq 'SQ' || $vr eq 'OW' ? pack('vV', 0, length $value) : pack('v', length $value)) . $value;
}

# A DICOM file of a patient.
sub dicom
{
	my ($patient) = @_;

	return ("\0" x 128) . 'DICM' . element(2, 0x10, 'UI', '1.2.840.10008.1.2.1') . element(8, 0x60, 'CS', 'DX')
	  . element(0x10, 0x20, 'LO', $patient) . element(0x28, 0x10, 'US', pack('v', 1))
	  . element(0x7fe0, 0x10, 'OW', pack('v', ++$made));
}

# Runs pneumo-load; returns its status and what it printed.
sub loaded
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'pneumo-load', @_ ], '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub rows
{
	return $node->safe_psql('postgres', $_[0]);
}

# -------------------------------------------------------- trees as people have them

my $tree = "$top/kaggle";
put_file("$tree/chest_xray/train/NORMAL/person1_a.jpeg", jpeg());
put_file("$tree/chest_xray/train/NORMAL/person1_b.JPG", jpeg());
put_file("$tree/chest_xray/train/Pneumonia/person2.jpeg", jpeg());
put_file("$tree/chest_xray/train/PNEUMONIA/more/person3.jpeg", jpeg());
put_file("$tree/chest_xray/train/PNEUMONIA/more/person4", jpeg());
put_file("$tree/chest_xray/valid/NORMAL /person5.png", "\x89PNG\r\n\x1a\n");
put_file("$tree/chest_xray/Testing/normal/person6.dcm", dicom('p6'));
put_file("$tree/chest_xray/train/NORMAL/._person1_a.jpeg", 'x');
put_file("$tree/chest_xray/train/NORMAL/.DS_Store", 'x');
put_file("$tree/__MACOSX/chest_xray/train/NORMAL/._person1_a.jpeg", 'x');
put_file("$tree/chest_xray/train/NORMAL/Thumbs.db", 'x');
put_file("$tree/chest_xray/train/NORMAL/empty.jpeg", '');
put_file("$tree/chest_xray/train/NORMAL/page.jpeg", '<html>not found</html>');
put_file("$tree/chest_xray/train/NORMAL/notes.txt", 'about the files');
put_file("$tree/chest_xray/train/loose.jpeg", jpeg());
put_file("$tree/chest_xray/extra/NORMAL/outside.jpeg", jpeg());
put_file("$tree/chest_xray/train/NORMAL/r\xf6ntgen.jpeg", jpeg());
symlink('..', "$tree/chest_xray/train/NORMAL/loop");
symlink('nowhere', "$tree/chest_xray/train/NORMAL/gone.jpeg");
symlink('person1_a.jpeg', "$tree/chest_xray/train/NORMAL/linked.jpeg");
system_or_bail('mkfifo', "$tree/chest_xray/train/NORMAL/pipe.jpeg");
put_file("$tree/chest_xray/train/NORMAL/secret.jpeg", jpeg());
chmod 0, "$tree/chest_xray/train/NORMAL/secret.jpeg";
open(my $huge, '>', "$tree/chest_xray/train/NORMAL/huge.jpeg");
print $huge "\xff\xd8\xff";
truncate($huge, 1_500_000_000);
close $huge;

my ($status, $out, $err) = loaded('--dry-run', "--left-out=$top/left", "--patient-pattern=(person[0-9]+)", $tree);
is($status, 4, 'dry run: images are left out');
like($out, qr/^folder .*kaggle: 9 images/, 'dry run: the images');
like($out, qr/inside +chest_xray\n/, 'dry run: the folder that the splits are in');
like($out, qr/splits +test 1, train 7, validation 1\n/, 'dry run: splits in any spelling');
like($out, qr/labels +NORMAL 6, PNEUMONIA 3\n/, 'dry run: classes in any spelling')
  or note($out);
like($out, qr/Pneumonia is taken for PNEUMONIA/, 'dry run: which spelling was taken for which');
like($out, qr/patients +6, of 7 images\n/, 'dry run: patients by the pattern and by tags') or note($out);
like($out, qr/1 are not UTF-8, and written as .*r\\xf6ntgen/, 'dry run: names that are not UTF-8');
my $left = slurp_file("$top/left");
my %expected = (
	'empty.jpeg' => 'empty',
	'page.jpeg' => 'no JPEG, PNG or DICOM image',
	'notes.txt' => 'no JPEG, PNG or DICOM image',
	'train/loose.jpeg' => 'not in a class folder, so of no label',
	'outside.jpeg' => 'in none of the folders train, validation and test',
	'NORMAL/loop' => 'a link to a folder that it is in',
	'gone.jpeg' => 'cannot be read',
	'pipe.jpeg' => 'a pipe, socket or device',
	'huge.jpeg' => 'too large',
	'._person1_a.jpeg' => 'hidden or of the operating system',
	'__MACOSX' => 'hidden or of the operating system');
like($left, qr/^\Q$expected{$_}\E\t[^\t]*\Q$_\E\t/m, "left out: $_") foreach sort keys %expected;
like($left, qr/page\.jpeg\tit is an HTML page/, 'left out: what it is');
SKIP:
{
	skip 'root reads everything', 1 if $> == 0;
	like($left, qr/^cannot be read\t[^\t]*secret\.jpeg\tPermission denied$/m, 'left out: secret.jpeg');
}

($status, $out, $err) = loaded('-t', 'kaggle', $tree);
is($status, 1, 'no table: an error');
like($err, qr/there is no table kaggle in database "postgres"\nHINT:  --create-table makes it/, 'no table: the way out');
($status, $out, $err) = loaded('--create-table', '-t', 'kaggle', '--patient-pattern=(person[0-9]+)', '-j', '3', $tree);
is($status, 4, 'loaded, images are left out');
like($out, qr/9 images loaded into public\.kaggle/, 'loaded') or note($err);
is(rows(q{SELECT split, label, count(*), count(patient) FROM kaggle GROUP BY 1, 2 ORDER BY 1, 2}),
	"test|NORMAL|1|1\ntrain|NORMAL|4|2\ntrain|PNEUMONIA|3|3\nvalidation|NORMAL|1|1", 'the rows');
is(rows(q{SELECT file FROM kaggle WHERE file LIKE '%ntgen%'}), 'chest_xray/train/NORMAL/r\xf6ntgen.jpeg', 'a name that is not UTF-8');
is(rows(q{SELECT count(*) FROM kaggle WHERE image_sha256 <> sha256(image)}), '0', 'hashes by the server');
is(rows(q{SELECT attstorage FROM pg_attribute WHERE attrelid = 'kaggle'::regclass AND attname = 'image'}), 'e', 'images are stored as they are');
($status, $out, $err) = loaded('-t', 'kaggle', $tree);
like($out, qr/^0 images loaded .*, 9 there already$/m, 'a second time: nothing new');
put_file("$tree/chest_xray/train/NORMAL/person1_a.jpeg", jpeg());
rows(q{DELETE FROM kaggle WHERE file LIKE '%person2%'});
($status, $out, $err) = loaded('-t', 'kaggle', $tree);
like($out, qr/^3 images loaded .*, 6 there already, 2 of them under names that are there with other content$/m, 'a third time: what is new')
  or note($out);

# The server sees the same, in a folder that it can read as a whole.
unlink "$tree/chest_xray/train/NORMAL/secret.jpeg", "$tree/chest_xray/train/NORMAL/r\xf6ntgen.jpeg";
($status, $out, $err) = $node->psql('postgres', "SELECT pneumo_load('$tree', 'by_server')");
is($out, 8, "the server's pneumo_load: the same images") or note($err);
like($err, qr/folders "PNEUMONIA" and "Pneumonia" are taken for one class/, "the server's pneumo_load: classes in any spelling");
like($err, qr/the folders of the splits are in "chest_xray"/, "the server's pneumo_load: the folder that the splits are in");
is(rows(q{SELECT count(*) FROM by_server s JOIN kaggle k USING (file, label, image) WHERE s.split = k.split}), 8, 'the same rows');

# Other layouts.
put_file("$top/class_first/NORMAL/train/$_.jpg", jpeg()) foreach 1 .. 2;
put_file("$top/class_first/PNEUMONIA/test/1.jpg", jpeg());
($status, $out) = loaded('-n', "$top/class_first");
like($out, qr/splits +test 1, train 2\n  labels +NORMAL 2, PNEUMONIA 1\n/, 'splits in class folders');
put_file("$top/folds/$_/train/NORMAL/1.jpg", jpeg()) foreach 'fold1', 'fold2';
($status, $out, $err) = loaded('-n', "$top/folds");
is($status, 1, 'two trees: an error');
like($err, qr/folders of splits are in "fold1" and in "fold2"/, 'two trees: the message');
put_file("$top/patients/p$_/study/1.jpg", jpeg()) foreach 1 .. 70;
($status, $out, $err) = loaded('-n', "$top/patients");
like($err, qr/there are 70 folders where classes are expected, such as "p1"/, 'folders of patients are no classes');
($status, $out, $err) = loaded('-n', '--unlabelled', '--patient-pattern=^(p[0-9]+)/', "$top/patients");
is($status, 0, 'unlabelled');
like($out, qr/labels +none 70\n  patients +70, of 70 images/, 'unlabelled: patients');
($status, $out, $err) = loaded('-n', '--label=NORMAL', "$top/patients/p1");
like($out, qr/labels +NORMAL 1\n/, 'one label for all');
put_file("$top/flat/1.jpg", jpeg());
($status, $out, $err) = loaded("$top/flat");
is($status, 1, 'no class folders: an error');
like($err, qr/has no images that can be loaded\nHINT:.*--label/, 'no class folders: the way out');
($status, $out, $err) = loaded("$top/nowhere");
like($err, qr/could not open ".*nowhere": No such file/, 'no such folder');

# ------------------------------------------------------------------- a manifest

put_file("$top/m/images/$_.png", "\x89PNG\r\n\x1a\n$_") foreach 1 .. 4;
put_file("$top/m/list.csv", <<'CSV');
Image Index;Finding Labels;Patient ID;Set;Age;note;unused
1.png;"Pneumonia";10;Train;51;"a ""quoted""
note";x
images/2.png; No Finding ;11;val;;;
3.png;No Finding;12;test;x17;;
images/4.png;No Finding;13;test;18;
none.png;No Finding;13;test;18;;
1.png;No Finding;13;test;18;;
CSV
rows(q{CREATE TYPE finding AS ENUM ('No Finding', 'Pneumonia');
	CREATE TABLE "Odd ""name" (image bytea, label finding, split text, "Patient" integer, file varchar(20), age smallint, note text)});
($status, $out, $err) = loaded('-t', '"Odd ""name"', "$top/m/list.csv");
is($status, 1, 'a value that its type does not have: an error');
like($err, qr/the server rejects "images\/3.png": invalid input syntax for type smallint: "x17"/, 'it names the file') or note($err);
like($err, qr/has no column "unused": it is left out/, 'a column that the table does not have');
($status, $out, $err) = loaded('--skip-rejected', '-t', '"Odd ""name"', "$top/m/list.csv");
is($status, 4, 'with --skip-rejected it goes on');
like($err, qr/left out, cannot be read: 1: none\.png \(No such file or directory\)/, 'a file that is not there');
like($err, qr/left out, named again in the manifest: 1: images\/1\.png/, 'a file that is named twice');
like($err, qr/left out, damaged lines of the manifest: 1: .*line 6 has 6 fields, the first has 7/, 'a line with too few fields');
is(rows(q{SELECT file, label, split, "Patient", age, note FROM "Odd ""name" ORDER BY file}),
	qq{images/1.png|Pneumonia|train|10|51|a "quoted"\nnote\nimages/2.png|No Finding|validation|11||}, 'values in the types of the columns');
put_file("$top/m/latin.csv", "path,label\n1.png,H\xe4matom\n");
($status, $out, $err) = loaded("$top/m/latin.csv");
like($err, qr/line 2: "H\\xe4matom" is not UTF-8\nHINT:.*iconv/, 'a manifest that is not UTF-8');
put_file("$top/m/none.csv", "label\nx\n");
($status, $out, $err) = loaded("$top/m/none.csv");
like($err, qr/has no column path/, 'a manifest without paths');

# ------------------------------------------------------------------------ DICOM

put_file("$top/cd/DICOM/PAT1/IM$_", dicom("patient $_")) foreach 1 .. 2;
put_file("$top/cd/dicom/pat1/im3", dicom('patient 3'));
my $records = join '',
  map { my $r = element(4, 0x1430, 'CS', $_->[0]) . element(4, 0x1500, 'CS', $_->[1]); pack('vvV', 0xfffe, 0xe000, length $r) . $r }
  (['PATIENT', ''], ['IMAGE', 'DICOM\\PAT1\\IM1'], ['IMAGE', 'DICOM\\PAT1\\IM2'], ['IMAGE', 'DICOM\\PAT1\\IM3'],
	['IMAGE', 'DICOM\\PAT1\\IM9'], ['SR DOCUMENT', 'DICOM\\PAT1\\IM1'], ['IMAGE', '..\\kaggle\\x']);
put_file("$top/cd/DICOMDIR", ("\0" x 128) . 'DICM' . element(2, 0x10, 'UI', '1.2.840.10008.1.2.1') . element(4, 0x1220, 'SQ', $records));
($status, $out, $err) = loaded('-n', "$top/cd");
like($out, qr/^DICOMDIR of .*cd: 3 images/, 'a DICOMDIR: its images');
like($out, qr/patients +3, of 3 images/, 'a DICOMDIR: patients by the tags');
like($err, qr/left out, cannot be read: 2: DICOM\/PAT1\/IM9|dicom\/pat1\/im9/i, 'a DICOMDIR: what it names and has not');
($status, $out, $err) = loaded('--create-table', '-t', 'cd', '--column=patient=subject', "$top/cd/DICOMDIR");
is(rows(q{SELECT string_agg(subject, ',' ORDER BY subject), count(label) FROM cd}), 'patient 1,patient 2,patient 3|0', 'a DICOMDIR: loaded');

# ------------------------------------------- the table's constraints and triggers

put_file("$top/many/NORMAL/" . sprintf('%04d.jpg', $_), jpeg('x' x 20_000)) foreach 1 .. 1200;
rows(q{CREATE TABLE strict (image bytea NOT NULL, label text, file text PRIMARY KEY CHECK (file <> 'NORMAL/0700.jpg'), n serial);
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		IF NEW.file = 'NORMAL/0900.jpg' THEN RAISE 'not this one' USING HINT = 'ask the archive'; END IF; RETURN NEW; END$$;
	CREATE TRIGGER refuse BEFORE INSERT ON strict FOR EACH ROW EXECUTE FUNCTION refuse()});
($status, $out, $err) = loaded('-t', 'strict', "$top/many");
is($status, 1, 'a constraint: an error');
like($err, qr/the server rejects "NORMAL\/0700.jpg": new row for relation "strict" violates check constraint/, 'it names the file');
like($err, qr/files may not be dealt with yet; the same command goes on where it stopped/, 'and how to go on');
is(rows(q{SELECT count(*) FROM strict}), 699, 'what came before is there');
($status, $out, $err) = loaded('--skip-rejected', '-t', 'strict', "$top/many");
is($status, 4, 'with --skip-rejected it goes on');
like($err, qr/rejected by the server: 2: NORMAL\/0700\.jpg \(.*\), NORMAL\/0900\.jpg \(not this one\)/, 'what was rejected, and why');
is(rows(q{SELECT count(*) FROM strict}), 1198, 'the others are there');
rows(q{CREATE ROLE reader LOGIN; GRANT SELECT ON strict TO reader; DELETE FROM strict});
($status, $out, $err) = loaded('-U', 'reader', '-t', 'strict', "$top/many");
is($status, 1, 'no right to write: an error');
like($err, qr/^pneumo-load: permission denied for table strict$/m, 'no right to write: no file is blamed');
rows(q{CREATE TABLE without (image bytea, label text)});
($status, $out, $err) = loaded('-t', 'without', "$top/many");
like($err, qr/has no column "file": what is there is known by content only/, 'a table without file names');
($status, $out, $err) = loaded('-t', 'without', "$top/many");
like($out, qr/^0 images loaded .*, 1200 there already$/m, 'it is not loaded twice');
rows(q{CREATE TABLE other (image text, label text, file text)});
($status, $out, $err) = loaded('-t', 'other', "$top/many");
like($err, qr/has no column "image" of type bytea/, 'a column of another type');

# --------------------------------------------------- interrupts, lost connections

# Each row waits, so that there is time.
put_file("$top/slow/NORMAL/$_.jpg", jpeg()) foreach 1 .. 3000;
rows(q{CREATE TABLE slow (image bytea, label text, file text);
	CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END$$;
	CREATE TRIGGER wait BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION wait()});

sub loaded_until
{
	my ($condition, $action) = @_;
	my ($out, $err) = ('', '');
	my $run = start([ 'pneumo-load', '-t', 'slow', '-j', '2', "$top/slow" ], '>', \$out, '2>', \$err);

	$node->poll_query_until('postgres', $condition);
	$action->($run);
	finish $run;
	return ($? >> 8, $out, $err);
}

($status, $out, $err) = loaded_until(q{SELECT count(*) > 0 FROM slow}, sub { $_[0]->signal('INT') });
is($status, 3, 'interrupted');
like($err, qr/interrupted\n.*goes on where it stopped/s, 'interrupted: how to go on') or note($err);
my $there = rows('SELECT count(*) FROM slow');
cmp_ok($there, '>', 0, 'interrupted: what was committed stays');
cmp_ok($there, '<', 3000, 'interrupted: before the end');
is(rows(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pneumo-load' AND state = 'active'}), 0, 'interrupted: nothing goes on in the server');
($status, $out, $err) = loaded_until("SELECT count(*) > $there FROM slow",
	sub { rows(q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'pneumo-load'}) });
is($status, 2, 'a lost connection');
like($err, qr/goes on where it stopped/, 'a lost connection: how to go on');
$there = rows('SELECT count(*) FROM slow');
($status, $out, $err) = loaded_until("SELECT count(*) > $there FROM slow", sub { $_[0]->signal('KILL') });
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'pneumo-load'});
rows('DROP TRIGGER wait ON slow');
($status, $out, $err) = loaded('-t', 'slow', '-j', '4', "$top/slow");
is($status, 0, 'after all that: loaded to the end');
is(rows('SELECT count(*), count(DISTINCT file) FROM slow'), '3000|3000', 'each image once');

my $holder = $node->background_psql('postgres');
$holder->query_safe(q{SELECT pg_advisory_lock((x'706e6c64'::bigint << 32) | 'slow'::regclass::oid::bigint)});
($status, $out, $err) = loaded('-t', 'slow', "$top/slow");
like($err, qr/another pneumo-load is loading into public\.slow/, 'two at once');
$holder->quit;

# ---------------------------------------------------------------- the command line

($status, $out, $err) = loaded('-p', '1', "$top/many");
is($status, 2, 'no server');
($status, $out, $err) = loaded("$top/many", 'nowhere');
like($err, qr/database "nowhere" does not exist/, 'no such database');
($status, $out, $err) = loaded();
is($status, 1, 'nothing to load');
($status, $out, $err) = loaded('--jobs=0', 'x');
like($err, qr/--jobs wants a number from 1 to 64: "0"/, 'a number out of range');
($status, $out, $err) = loaded('-q', '-d', $node->connstr('postgres'), '-t', 'slow', "$top/slow");
is("$status$out$err", '0', 'quiet, and a conninfo');
($status, $out) = loaded('--help');
like($out, qr/^pneumo-load loads JPEG/, 'help');

$node->stop;
done_testing();
