# Files that four versions of Keras wrote (tests/keras/files, made by
# tests/keras/keras_files.py): each is imported, scores as Keras did, and is
# exported and imported again to the bit.

use strict;
use warnings;

use lib 'tests/t';
use FindBin;
use lib $FindBin::RealBin;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use JSON::PP;
use MIME::Base64;
use PneumoTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = "$FindBin::RealBin/../keras/files";
my $node = new_node('keras_files');
sub sql { return $node->safe_psql('postgres', $_[0]); }

sub unpacked
{
	my ($file) = @_;
	my $bytes;

	gunzip($file => \$bytes) or die "$file: $GunzipError";
	return $bytes;
}

sub bytea
{
	return "decode('" . encode_base64($_[0], '') . "', 'base64')";
}

sql('CREATE TABLE images (kind text, i integer, image bytea)');
for my $kind (qw(grey rgb))
{
	for my $i (0, 1)
	{
		sql("INSERT INTO images VALUES ('$kind', $i, " . bytea(slurp_file("$folder/$kind$i.png")) . ')');
	}
}

# The probabilities of both images, class by class, as text with all digits.
sub probabilities
{
	my ($model, $kind) = @_;

	return sql("SELECT string_agg(probability::text, ' ' ORDER BY i, n)
		FROM images, LATERAL (SELECT probability, row_number() OVER () AS n FROM pneumo_predict_proba(image, '$model')) p
		WHERE kind = '$kind'");
}

my $expected = decode_json(unpacked("$folder/expected.json.gz"));
for my $key (sort keys %$expected)
{
	my ($file) = split / /, $key;
	my $entry = $expected->{$key};
	my $config = JSON::PP->new->canonical->encode($entry->{config});
	my @want = map { @$_ } @{ $entry->{scores} };
	my ($worst, $got) = (0);

	sql("SET client_min_messages = error; SELECT pneumo_import_keras("
		. bytea(unpacked("$folder/$file.gz")) . ", '$key', \$json\$$config\$json\$)");
	$got = probabilities($key, $entry->{images});
	my @got = split / /, $got;
	for my $k (0 .. $#want)
	{
		$worst = abs($want[$k] - $got[$k]) if abs($want[$k] - $got[$k]) > $worst;
	}
	ok(@got == @want && $worst < 2e-6, sprintf('%s: scores as Keras has them, within %.1e', $key, $worst));
	sql("SELECT pneumo_import_keras(pneumo_export_keras('$key'), 'again')");
	is(probabilities('again', $entry->{images}), $got, "$key: the same to the bit when it was exported and imported");
	is(sql("SELECT classes, threshold, precision, image_size FROM pneumo.versions WHERE model = 'again'"),
		sql("SELECT classes, threshold, precision, image_size FROM pneumo.versions WHERE model = '$key'"),
		"$key: and with the same classes and threshold");
	sql("SELECT pneumo_drop_model('again'); SELECT pneumo_drop_model('$key')");
}

$node->stop;
done_testing();
