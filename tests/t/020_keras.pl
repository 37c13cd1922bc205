# Networks as four versions of Keras write them (tests/keras): each is planned,
# or refused for the reasons that tests/keras/networks/expected.txt has.
# KERAS_EXPECTED=FILE writes what came out to a file.

use strict;
use warnings;

use lib 'tests/t';
use FindBin;
use lib $FindBin::RealBin;
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use PneumoTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = "$FindBin::RealBin/../keras/networks";
my $node = new_node('keras', conf => "pneumo.train_memory = '8GB'\npneumo.simd = 'auto'\n");

$node->safe_psql(
	'postgres', q{
	CREATE TABLE xrays AS
		SELECT pneumo_phantom(i, l, 64) AS image, l AS label
		FROM (SELECT i, CASE WHEN i % 2 = 1 THEN 'PNEUMONIA' ELSE 'NORMAL' END AS l
			  FROM generate_series(1, 20) i) s;
	CREATE FUNCTION outcome(layers text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		n bigint;
		message text;
		detail text;
	BEGIN
		SELECT parameters INTO n FROM pneumo_plan('xrays', jsonb_build_object('layers', layers));
		RETURN 'taken: ' || n;
	EXCEPTION WHEN others THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		RETURN 'refused: ' || message || CASE WHEN detail = '' THEN '' ELSE E'\n  ' || replace(detail, E'\n', E'\n  ') END;
	END $$;
});

my %expected;
my $key;
for (split /\n/, slurp_file("$folder/expected.txt"))
{
	if (/^  /)
	{
		$expected{$key} .= "\n$_";
	}
	elsif (/^(\S+ \S+) (.*)$/)
	{
		$key = $1;
		$expected{$key} = $2;
	}
}

my $all = '';
for my $file (sort glob("$folder/keras-*.json.gz"))
{
	my ($version) = $file =~ /keras-([\d.]+)\.json/;
	my ($json, $out);

	gunzip($file => \$json) or die "$file: $GunzipError";
	$node->psql(
		'postgres', qq{
		SET client_min_messages = warning;
		SELECT string_agg(key || ' ' || outcome(value), chr(1) ORDER BY key) FROM jsonb_each_text(\$keras\$$json\$keras\$)},
		stdout => \$out, on_error_die => 1);
	for (split /\x01/, $out)
	{
		my ($name, $outcome) = /^(\S+) (.*)$/s;

		is($outcome, delete $expected{"$version $name"}, "$name of Keras $version");
		$all .= "$version $name $outcome\n";
	}
}
is(join(' ', sort keys %expected), '', 'each network of expected.txt is there');
append_to_file($ENV{KERAS_EXPECTED}, $all) if $ENV{KERAS_EXPECTED};

$node->stop;
done_testing();
