# A backend that crashes takes shared memory with it: the weights are loaded
# again by whoever comes first.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => 'restart_after_crash = on');
add_phantoms($node, 80);
train($node, tiny_config());
my $before = scores($node, 'tiny');
is($node->safe_psql('postgres', "SELECT place, state FROM pneumo.cache"), 'shared|ready', 'the weights are shared');

for my $signal ('SEGV', 'KILL')
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query('SELECT pg_backend_pid()');

	$session->query("SELECT pneumo_predict(image, 'tiny') FROM xrays LIMIT 1");
	kill $signal, $pid;
	eval { $session->quit };
	wait_for($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)", 'the server to recover');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM pneumo.cache'), '0', "SIG$signal: the cache is empty after recovery");
	is(scores($node, 'tiny'), $before, "SIG$signal: and is built again, with the same scores");
	is($node->safe_psql('postgres', "SELECT place, state FROM pneumo.cache"), 'shared|ready', "SIG$signal: shared again");
}

$node->stop;
done_testing();
