# The reports open in a browser: nothing on the console, nothing overflows, light and dark.

use strict;
use warnings;

use PneumoTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @widths = (400, 1400);

sub find_browser
{
	for my $name (qw(chromium chromium-browser google-chrome))
	{
		for my $folder (split /:/, $ENV{PATH})
		{
			return "$folder/$name" if -x "$folder/$name";
		}
	}
	return undef;
}

# A page that shows the report in frames and writes what it measures in them.
sub harness
{
	my ($page) = @_;
	my $frames = join '', map { qq(<iframe width="$_" height="900" style="border:0" src="$page.html"></iframe>\n) } @widths;

	return <<"HTML";
<!DOCTYPE html><html><body style="margin:0">$frames<pre id="result"></pre>
<script>
addEventListener('load', () => {
	const lines = [];
	for (const frame of document.querySelectorAll('iframe')) {
		const d = frame.contentDocument, width = frame.clientWidth;
		const root = d.documentElement;
		const bad = [...d.body.querySelectorAll('*')].filter(e => {
			const box = e.getBoundingClientRect();
			return !e.closest('.scroll') && !e.closest('svg') && box.width > 0 && box.right > width + 0.5;
		});
		const images = [...d.images];
		lines.push(['width ' + frame.width, 'overflow ' + Math.max(0, root.scrollWidth - width), 'outside ' + bad.length,
			'images ' + images.length, 'broken ' + images.filter(i => !i.naturalWidth).length,
			'pictures ' + d.querySelectorAll('svg').length, 'sections ' + d.querySelectorAll('h2').length,
			'unnamed ' + images.filter(i => !i.alt).length, 'paper ' + getComputedStyle(d.body).backgroundColor].join(', '));
	}
	document.getElementById('result').textContent = lines.join('\\n');
});
</script></body></html>
HTML
}

my $browser = find_browser();
plan skip_all => 'no chromium to open the report with' unless defined $browser;

my $node = new_node('report');
my $folder = PostgreSQL::Test::Utils::tempdir();
add_phantoms($node, 80);
train($node, tiny_config());
train($node, tiny_config(seed => 5));
my %sections = (report => 11, compare => 10);
my %call = (
	report => q{pneumo_report('tiny', config => '{"subgroups": ["patient", "label"]}')},
	compare => q{pneumo_report_compare('xrays', '{tiny,tiny}', '{"versions": [1, 2], "subgroups": ["patient", "label"]}')});
for my $page (sort keys %call)
{
	append_to_file("$folder/$page.html", $node->safe_psql('postgres', "SELECT $call{$page}"));
	append_to_file("$folder/harness-$page.html", harness($page));
}
$node->stop;

for my $page (sort keys %call)
{
	my %paper;

	for my $scheme (0, 1)			# dark, light
	{
		my $name = "$page, " . ($scheme ? 'light' : 'dark');
		my ($stdout, $stderr);
		my $run = IPC::Run::run([
				$browser, '--headless', '--no-sandbox', '--disable-gpu', '--allow-file-access-from-files',
				"--user-data-dir=$folder/profile", "--blink-settings=preferredColorScheme=$scheme", '--enable-logging=stderr',
				'--window-size=1500,2000', '--virtual-time-budget=20000', '--dump-dom', "file://$folder/harness-$page.html"],
			'>', \$stdout, '2>', \$stderr, IPC::Run::timeout(180));

		ok($run, "$name: the browser opens the page");
		is(join("\n", grep { /CONSOLE/ } split /\n/, $stderr), '', "$name: nothing on the console");
		for my $width (@widths)
		{
			my ($line) = grep { /^(<pre id="result">)?width $width,/ } split /\n/, $stdout;

			$line //= '';
			like($line, qr/overflow 0, outside 0,/, "$name: nothing overflows at $width pixels") or diag($line);
			like($line, qr/images [1-9]\d*, broken 0, pictures [1-9]\d*, sections $sections{$page}, unnamed 0,/,
				"$name: all is there at $width pixels") or diag($line);
			$paper{$scheme} = $1 if $line =~ /paper ([^<]*)/;
		}
	}
	isnt($paper{0}, $paper{1}, "$page: light and dark differ");
}
done_testing();
