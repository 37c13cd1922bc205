# The control struct's memory: preloaded, it is there from the start; without
# that, a server whose lock table was full says what to do.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $find = "SELECT count(*) FROM pg_shmem_allocations WHERE name LIKE 'pneumo%'";
my $node = new_node('main', conf => "shared_preload_libraries = 'pneumo'");

is($node->safe_psql('postgres', $find), '1', 'preloaded: the memory is there before anything was done');
is($node->safe_psql('postgres', "SELECT count(*) FROM pneumo.cache; $find"), "0\n1", 'and is the one that is used');
is($node->safe_psql('postgres', 'ALTER SYSTEM SET pneumo.max_training_runs = 2; SELECT 1'),
	'1', 'settings are known in every session');
add_phantoms($node, 60);
train($node, tiny_config());
like($node->safe_psql('postgres', "SELECT pneumo_predict(image, 'tiny') FROM xrays LIMIT 1"), qr/^[01]/, 'it works');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', $find), '1', 'it is there again after a crash');

# Locks until the server has no shared memory left, then the first use.
my $fill = q{DO $$ BEGIN FOR i IN 1..100000000 LOOP PERFORM pg_advisory_lock(i); END LOOP; EXCEPTION WHEN out_of_memory THEN NULL; END $$};
$node->safe_psql('postgres', $fill);
is($node->safe_psql('postgres', "SELECT count(*) FROM pneumo.cache"), '0', 'a full lock table does not disable it');

$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
is($node->safe_psql('postgres', $find), '0', 'not preloaded: the first use makes it');
$node->safe_psql('postgres', $fill);
my ($status, $stdout, $stderr) = $node->psql('postgres', "SELECT count(*) FROM pneumo.cache");
SKIP:
{
	skip 'the lock table left room', 2 if $status == 0;
	like($stderr, qr/not enough shared memory for data structure "pneumo/, 'a full lock table took the reserve');
	like($stderr, qr/HINT: .*shared_preload_libraries/, 'and the error says what to do');
}
$node->stop;
done_testing();
