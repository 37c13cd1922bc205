# Damaged images: bits flipped, bytes cut, moved and put in, segments of one image
# in another.  Each goes through a function that reads images; an answer and an
# error of its own are fine, an internal error, a crash or a lost server is not.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $n = $ENV{DAMAGED} || 100000;
my $node = new_node('main', conf => "pneumo.simd = 'auto'");
add_phantoms($node, 60);
train($node, tiny_config());

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE outcome (sqlstate text, message text, image bytea, n bigint);
CREATE FUNCTION damaged(image bytea, other bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	at integer;
	len integer;
BEGIN
	FOR k IN 0 .. floor(random() * 4)::integer LOOP
		EXIT WHEN octet_length(image) < 8;
		-- half of the damage into the headers
		at := floor(random() * CASE WHEN random() < 0.5 THEN least(octet_length(image), 700) ELSE octet_length(image) END)::integer;
		len := floor(random() ^ 4 * 200)::integer;
		CASE floor(random() * 7)::integer
			WHEN 0 THEN image := set_byte(image, at, floor(random() * 256)::integer);
			WHEN 1 THEN image := set_bit(image, at * 8, floor(random() * 2)::integer);
			WHEN 2 THEN image := substring(image FROM 1 FOR at);
			WHEN 3 THEN image := substring(image FROM 1 FOR at) || substring(image FROM at + len + 1);
			WHEN 4 THEN image := substring(image FROM 1 FOR at) || substring(other FROM at + 1 FOR len) || substring(image FROM at + 1);
			WHEN 5 THEN image := overlay(image PLACING '\xffff'::bytea FROM at + 1 FOR 2);
			ELSE image := overlay(image PLACING substring(image FROM len + 1 FOR 40) FROM at + 1 FOR 40);
		END CASE;
	END LOOP;
	RETURN image;
END $$;
CREATE PROCEDURE try_images(n integer, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	images bytea[] := (SELECT array_agg(image ORDER BY id) FROM xrays);
	image bytea;
	state text;
	counts jsonb := '{}';
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. n LOOP
		image := damaged(images[1 + floor(random() * 60)::integer], images[1 + floor(random() * 60)::integer]);
		state := '00000';
		BEGIN
			CASE i % 8
				WHEN 0 THEN PERFORM pneumo_image_info(image);
				WHEN 1 THEN PERFORM pneumo_preprocess(image, 'tiny');
				WHEN 2 THEN PERFORM pneumo_explain(image, 'tiny');
				WHEN 3 THEN PERFORM pneumo_augment(image, '{"rotation_range": 30, "image_size": [32, 32]}', i);
				WHEN 4 THEN PERFORM pneumo_mean_image(x) FROM unnest(ARRAY[image, images[1]]) x;
				WHEN 5 THEN PERFORM set_config('pneumo.on_bad_image', 'null', true), pneumo_predict(image, 'tiny');
					PERFORM set_config('pneumo.on_bad_image', 'error', true);
				ELSE PERFORM pneumo_predict(image, 'tiny');
			END CASE;
		EXCEPTION WHEN OTHERS THEN
			state := SQLSTATE;
			IF state LIKE 'XX%' OR state NOT IN ('22023', '22P03', '54000', '22026') THEN
				INSERT INTO outcome VALUES (state, SQLERRM, image, 1);
			END IF;
		END;
		counts := jsonb_set(counts, ARRAY[state], to_jsonb(coalesce((counts ->> state)::integer, 0) + 1));
		IF i % 1000 = 0 THEN COMMIT; END IF;
	END LOOP;
	INSERT INTO outcome SELECT key, NULL, NULL, value::bigint FROM jsonb_each_text(counts);
END $$;
SQL

my $half = int($n / 2);
my $other = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL try_images($half, 0.25)" ],
	'<', \undef, '>', \my $out, '2>', \my $err);
my ($status, $stdout, $stderr) = $node->psql('postgres', "CALL try_images($half, 0.75)", timeout => 14000);
is($status, 0, 'a session came through') or diag($stderr);
ok($other->finish, 'another one, too') or diag($err);

my $counts = $node->safe_psql('postgres',
	"SELECT string_agg(sqlstate || ': ' || n, ', ' ORDER BY sqlstate) FROM (SELECT sqlstate, sum(n) AS n FROM outcome WHERE image IS NULL GROUP BY 1) s");
note("counted: $n damaged images, by SQLSTATE $counts");
is($node->safe_psql('postgres', "SELECT DISTINCT sqlstate, message FROM outcome WHERE image IS NOT NULL LIMIT 5"),
	'', 'no error but those about images');
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|PANIC|TRAP/, 'no crash');
$node->stop;
done_testing();
