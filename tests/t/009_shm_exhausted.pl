# Dynamic shared memory that cannot hold the weights: each session has its own
# copy, says so once, and scores the same.
#
# The limit is made by the server's file size limit, which holds for segments of
# dynamic shared memory as well, and which a WAL file still fits in.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "dynamic_shared_memory_type = posix");
add_phantoms($node, 60);
train($node, wide_config(name => '"wide"', layers => PneumoTest::layers(24, 1024)));
my $bytes = $node->safe_psql('postgres', "SELECT bytes FROM pneumo.versions WHERE model = 'wide'");
cmp_ok($bytes, '>', 20 * 1024 * 1024, "a model of $bytes bytes");
my $expected = scores($node, 'wide');
$node->stop;

my $conf = $node->data_dir;
system_or_bail('bash', '-c',
	"ulimit -S -f 17408 && exec pg_ctl -w -D '$conf' -l '" . $node->logfile . "' -o '--cluster-name=main' start");
$node->_update_pid(1);
is(scores($node, 'wide'), $expected, 'the scores are the same, to the bit');
is( $node->safe_psql('postgres', "SELECT count(pneumo_predict(image, 'wide')) FROM xrays WHERE id < 3;
	SELECT place FROM pneumo.cache"), "3\nlocal", 'from a copy of the session');
my $log = slurp_file($node->logfile);
like($log, qr/LOG: .*this session's own memory/, 'the log says so');

# Beyond its own limit a session refuses.
my ($status, $stdout, $stderr) = $node->psql('postgres',
	"SELECT count(pneumo_predict(image, 'wide')) FROM xrays WHERE id < 3", extra_params => [],
	connstr => $node->connstr('postgres'));
is($status, 0, 'a second session has its own copy');
$node->append_conf('postgresql.conf', "pneumo.local_cache_size = '1MB'");
$node->reload;
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT count(pneumo_predict(image, 'wide')) FROM xrays WHERE id < 3");
isnt($status, 0, 'pneumo.local_cache_size bounds the copies');
like($stderr, qr/local_cache_size|shared memory/, 'and the error names what to change');
$node->stop;

# With room in the main region the weights are shared although /dev/shm is full.
$node->append_conf('postgresql.conf', "min_dynamic_shared_memory = '128MB'");
system_or_bail('bash', '-c',
	"ulimit -S -f 17408 && exec pg_ctl -w -D '$conf' -l '" . $node->logfile . "' -o '--cluster-name=main' start");
$node->_update_pid(1);
is(scores($node, 'wide'), $expected, 'min_dynamic_shared_memory: the same scores');
is($node->safe_psql('postgres', "SELECT place FROM pneumo.cache"), 'shared', 'min_dynamic_shared_memory: shared');

$node->stop;
done_testing();
