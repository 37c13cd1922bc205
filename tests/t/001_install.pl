# Install, describe, dump and restore: models come back and score the same.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');

is( $node->safe_psql('postgres', q{
	SELECT string_agg(pg_describe_object(d.classid, d.objid, 0), ', ' ORDER BY 1)
	FROM pg_depend d
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	  AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pneumo')
	  AND obj_description(d.objid, d.classid::regclass::text) IS NULL
	  AND d.classid <> 'pg_type'::regclass}),
	'', 'every object has a description');
is( $node->safe_psql('postgres', q{
	SELECT string_agg(p.oid::regprocedure::text, ', ')
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pneumo')
	  AND p.proname NOT LIKE 'pneumo\_%'}),
	'', 'every function has the prefix');
is( $node->safe_psql('postgres', q{
	SELECT string_agg(c.oid::regclass::text, ', ')
	FROM pg_class c
	WHERE c.relnamespace = 'pneumo'::regnamespace AND c.relkind = 'r' AND
		(has_table_privilege('public', c.oid, 'SELECT') OR has_table_privilege('public', c.oid, 'INSERT'))}),
	'', 'nobody but the owner reaches a base table');

add_phantoms($node, 120);
my $run = train($node, tiny_config());
my $sha256 = sha256_of($node, $run);
like($sha256, qr/^[0-9a-f]{64}$/, 'a training makes a version');
$node->safe_psql('postgres', q{
	CREATE ROLE clinician;
	SELECT pneumo_grant('tiny', 'clinician', 'predict')});
my $before = scores($node, 'tiny');
my $history = $node->safe_psql('postgres', 'SELECT * FROM pneumo.history ORDER BY run, epoch');
my $runs = $node->safe_psql('postgres', 'SELECT * FROM pneumo.runs');

# A dump of one database, restored into a new one.
my $dump = $node->basedir . '/dump.custom';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr('postgres') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
is(scores($node, 'tiny', db => 'restored'), $before, 'restored models score the same, to the bit');
is($node->safe_psql('restored', "SELECT encode(deployed_sha256, 'hex') FROM pneumo.models WHERE model = 'tiny'"),
	$sha256, 'the deployed version is restored');
is($node->safe_psql('restored', 'SELECT * FROM pneumo.history ORDER BY run, epoch'), $history, 'the history is restored');
is($node->safe_psql('restored', 'SELECT * FROM pneumo.runs'), $runs, 'the runs are restored');
is($node->safe_psql('restored', q{SET ROLE clinician; SELECT pneumo_has_privilege('tiny', 'predict')}),
	't', 'rights are restored');

# New ids go on after the restored ones.
my $next = train($node, tiny_config(seed => 8), db => 'restored');
cmp_ok($next, '>', $run, 'a new run has a new id');
is($node->safe_psql('restored', "SELECT count(DISTINCT version_id), max(version) FROM pneumo.versions"), '2|2', 'and its version is a new one');

# DROP EXTENSION leaves nothing behind.
$node->safe_psql('restored', 'DROP EXTENSION pneumo');
is($node->safe_psql('restored', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'pneumo'}), '0', 'dropped without a trace');
$node->safe_psql('restored', 'CREATE SCHEMA elsewhere; CREATE EXTENSION pneumo SCHEMA elsewhere');
is($node->safe_psql('restored', 'SELECT count(*) FROM pneumo.models'), '0', 'and created again, in another schema');
like($node->safe_psql('restored', 'SELECT elsewhere.pneumo_version()'), qr/./, 'functions live in that schema');
is( $node->safe_psql('restored', q{
	SET search_path = elsewhere;
	SELECT elsewhere.pneumo_train('public.xrays', '} . tiny_config() . q{') > 0}),
	't', 'and work there');

$node->stop;
done_testing();
