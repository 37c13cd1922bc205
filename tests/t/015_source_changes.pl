# The table of a training is dropped, emptied, altered or hidden: while it is
# read, after that, and between a run and its continuation.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main');
sub sql { return $node->safe_psql('postgres', $_[0]); }
my ($status, $stdout, $stderr, $run);

add_phantoms($node, 120, table => 'original');
sub fresh { sql('DROP TABLE IF EXISTS xrays CASCADE; CREATE TABLE xrays AS SELECT * FROM original; ALTER TABLE xrays ADD PRIMARY KEY (id)'); }

sub free { wait_for($node, 'SELECT NOT EXISTS (SELECT FROM pneumo.progress)', 'the worker to be gone'); }

sub outcome
{
	my ($r) = @_;
	free();
	return sql("SELECT state || coalesce(': ' || sqlstate || ' ' || error, '') FROM pneumo.run WHERE id = $r");
}

# ------------------------------------------ between the call and the reading
# The caller's check is done, its transaction not yet over.

foreach my $case (
	['DROP TABLE xrays', qr/^failed: 42P01 /, 'dropped'],
	['TRUNCATE xrays', qr/^failed: \S+ .*no rows/, 'emptied'],
	['ALTER TABLE xrays DROP COLUMN label', qr/^failed: 42703 .*"label"/, 'without its labels'],
	['ALTER TABLE xrays ALTER COLUMN image TYPE text USING id::text', qr/^failed: 42804 .*image|^failed: \S+ .*bytea/, 'with images of another type'],
	['ALTER TABLE xrays RENAME TO elsewhere', qr/^succeeded/, 'renamed: it is found by its identity'])
{
	my ($change, $expected, $what) = @$case;

	fresh();
	$run = sql("BEGIN; SELECT pneumo_train('xrays', \$\$" . tiny_config(name => '"early"') . "\$\$, wait => false); $change; COMMIT") =~ s/\n.*//sr;
	like(outcome($run), $expected, "before it is read: $what");
	sql('DROP TABLE IF EXISTS elsewhere');
}

# ------------------------------------------------------- while it is read
# The reading holds a lock that lets rows change and the table not.

fresh();
sql('CREATE VIEW dawdling AS SELECT id, patient, label, image FROM xrays WHERE pg_sleep(0.01) IS NOT NULL');
$run = start_training($node, tiny_config(name => '"reading"'), table => 'dawdling');
wait_for($node, "SELECT phase = 'reading images' FROM pneumo.progress WHERE run = $run", 'reading');
($status, $stdout, $stderr) = $node->psql('postgres', "SET lock_timeout = '100ms'; DROP TABLE xrays CASCADE");
like($stderr, qr/lock timeout/, 'the table cannot be dropped while it is read');
sql("UPDATE xrays SET label = 'NORMAL'; DELETE FROM xrays WHERE id < 50");
like(outcome($run), qr/^(succeeded|failed: .*class)/, 'rows can change; what counts is one snapshot or the other');

# ---------------------------------------------------- after it was read

fresh();
$run = start_training($node, slow_config(name => '"after"'));
wait_for_epoch($node, $run, 1);
is(sql("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE relname LIKE 'xrays%'"), '0', 'a training holds no lock on its table');
sql('DROP TABLE xrays CASCADE');
wait_for_epoch($node, $run, 2);
is(run_state($node, $run), 'running', 'dropped after it was read: the training goes on');
sql("SELECT pneumo_cancel($run)");
free();
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_resume($run)");
like($stderr, qr/ERROR:  public.xrays, which training run $run read, does not exist any more/, 'but it cannot be continued');
sql("SELECT pneumo_forget($run)");

# ----------------------------------------- between a run and its continuation

foreach my $case (
	['TRUNCATE xrays', qr/has no rows with an image and a label/, 'emptied'],
	['DELETE FROM xrays WHERE id = 3', qr/the data changed since it stopped/, 'a row less'],
	['ALTER TABLE xrays DROP COLUMN patient', qr/column "patient" of relation "xrays" does not exist/, 'a column less'],
	["UPDATE xrays SET label = 'OTHER' WHERE label = 'NORMAL'", qr/data changed|network or its settings changed/, 'a class of another name'],
	['ALTER TABLE xrays ADD COLUMN note text; VACUUM FULL xrays', qr/^$/, 'a column more: nothing that matters'])
{
	my ($change, $expected, $what) = @$case;

	fresh();
	$run = start_training($node, slow_config(name => '"between"', epochs => 3, layers => PneumoTest::layers(8, 16)));
	wait_for_epoch($node, $run, 1);
	sql("SELECT pneumo_cancel($run)");
	free();
	next if run_state($node, $run) ne 'cancelled';
	$node->safe_psql('postgres', $_) foreach split /; /, $change;
	($status, $stdout, $stderr) = $node->psql('postgres', "SET client_min_messages = error; SELECT pneumo_resume($run)");
	like($stderr, $expected, "before it is continued: $what");
}

# Row security: the owner sees other rows than when the run began.
fresh();
sql(q{CREATE ROLE analyst; GRANT SELECT ON xrays TO analyst; GRANT EXECUTE ON FUNCTION pneumo_train, pneumo_resume TO analyst;
	ALTER TABLE xrays ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON xrays TO analyst USING (id < 100)});
my $config = slow_config(name => '"secured"', layers => PneumoTest::layers(8, 16));
$run = sql("SET ROLE analyst; SELECT pneumo_train('xrays', \$\$$config\$\$, wait => false)");
wait_for_epoch($node, $run, 1);
is(sql("SELECT samples->'rows' IS NOT NULL AND (SELECT sum(v::int) FROM jsonb_each(samples->'rows') s(k, o), jsonb_each_text(o) c(l, v)) = 100 FROM pneumo.run WHERE id = $run"),
	't', 'a training sees what the policy shows');
sql("SELECT pneumo_cancel($run)");
free();
sql('ALTER POLICY p ON xrays USING (id < 90)');
($status, $stdout, $stderr) = $node->psql('postgres', "SET ROLE analyst; SELECT pneumo_resume($run)");
like($stderr, qr/the data changed since it stopped/, 'another policy: other data');
# A superuser resumes with the rights of the owner, not with his own.
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_resume($run)");
like($stderr, qr/the data changed since it stopped/, 'whoever resumes');
sql('REVOKE SELECT ON xrays FROM analyst');
($status, $stdout, $stderr) = $node->psql('postgres', "SELECT pneumo_resume($run)");
like($stderr, qr/permission denied for table xrays|permission denied/, 'a right that was revoked');
sql('GRANT SELECT ON xrays TO analyst; ALTER POLICY p ON xrays USING (id < 100)');
sql("SET ROLE analyst; SELECT pneumo_resume($run, wait => false)");
wait_for($node, "SELECT phase = 'training' FROM pneumo.progress WHERE run = $run", 'the run to continue');
pass('the same rows again: it continues');
sql("SELECT pneumo_cancel($run)");
free();

$node->stop;
done_testing();
