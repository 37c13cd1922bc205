# Random queries by sqlsmith, as an unprivileged role with a model of its own.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'sqlsmith is not installed' if system('command -v sqlsmith > /dev/null') != 0;

my $seconds = $ENV{SMITH_SECONDS} || 7200;
my $node = new_node('main', conf => "pneumo.simd = 'auto'\nstatement_timeout = '20s'\nlog_min_error_statement = panic");
$node->safe_psql('postgres', 'CREATE ROLE smith LOGIN; GRANT CREATE ON SCHEMA public TO smith');
add_phantoms($node, 60);
train($node, tiny_config());
$node->safe_psql('postgres', <<'SQL');
GRANT ALL ON xrays TO smith;
SELECT pneumo_grant('tiny', 'smith', 'predict');
SELECT pneumo_grant('tiny', 'smith', 'manage');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO smith;
ALTER ROLE smith SET pneumo.default_model = 'tiny';
SQL
my $start = time;
my $round = 0;
my $bad = 0;
while (time - $start < $seconds && $bad == 0)
{
	my $log = $node->basedir . "/smith$round.log";

	++$round;
	my $left = int($seconds - (time - $start)) + 1;
	system('timeout', $left < 300 ? $left : 300, 'bash', '-c',
		"sqlsmith --target=\"host=" . $node->host . ' port=' . $node->port
		  . " user=smith dbname=postgres\" --verbose --seed=$round --max-queries=100000 > '$log' 2>&1");
	$bad = 1 if slurp_file($node->logfile) =~ /terminated by signal|PANIC|TRAP/;
}
note(sprintf("counted: %d rounds of random queries in %d s", $round, time - $start));
is($bad, 0, 'no crash');
is($node->safe_psql('postgres', "SELECT count(pneumo_predict(image, 'tiny')) FROM xrays"), '60', 'the server still scores');
$node->stop;
done_testing();
