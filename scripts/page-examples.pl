#!/usr/bin/perl
# page-examples.pl extract PAGE SCRIPT
# page-examples.pl compare PAGE SCRIPT STDOUT STDERR
# page-examples.pl shell PAGE DEBIAN before|after
#
# The examples of a page of the manual, for scripts/check-readme.sh.  A block
# fenced as sql is run by psql; the block fenced as text that follows it is what
# it prints.  A block below the line "<!-- not run -->" is left out, and so is a
# block of text below "<!-- not compared -->", which differs from run to run.
#
#   extract   writes the blocks as a psql script, each after an \echo of its line
#   compare   looks whether each block printed what the page shows and raised no
#             error that the page does not show
#   shell     prints the blocks fenced as bash, those before the first sql block
#             or those after it.  Of a block with comments "# Debian N" it leaves
#             out the paragraphs' parts for other releases than DEBIAN.
#
# Blanks are compared as one, and so are dashes.  A line of the page that ends in an ellipsis is
# compared up to it; a line that is only an ellipsis stands for any lines.

use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

sub lines_of
{
	my ($file) = @_;

	open(my $in, '<', $file) or die "$file: $!\n";
	chomp(my @lines = <$in>);
	return @lines;
}

# Returns the blocks of a page: line, sql lines, and the lines it shows, if any.
sub blocks_of
{
	my ($page) = @_;
	my @blocks;
	my ($fence, $skip, $follows, $number) = ('', 0, 0, 0);

	for my $line (lines_of($page))
	{
		$number++;
		if ($fence eq '' && $line =~ /^```(\w*)/)
		{
			$fence = $1 || 'none';
			if ($fence eq 'sql' && !$skip)
			{
				push @blocks, {line => $number, sql => [], shows => undef};
			}
			elsif ($fence eq 'text' && $follows && !$skip)
			{
				$blocks[-1]{shows} = [];
			}
			else
			{
				$fence = 'other';
			}
			$skip = 0;
		}
		elsif ($fence ne '' && $line =~ /^```/)
		{
			$follows = $fence eq 'sql';
			$fence = '';
		}
		elsif ($fence eq 'sql')
		{
			push @{ $blocks[-1]{sql} }, $line;
		}
		elsif ($fence eq 'text')
		{
			push @{ $blocks[-1]{shows} }, $line;
		}
		elsif ($fence eq '' && $line =~ /\S/)
		{
			# Prose between a block and a text block does not part them.
			$follows = 0 if $line =~ /^#/;
			$skip = 1 if $line =~ /<!-- not (?:run|compared) -->/;
		}
	}
	return @blocks;
}

sub trimmed
{
	my ($line) = @_;

	$line =~ s/\s+/ /g;
	$line =~ s/--+/--/g;
	$line =~ s/^ | $//g;
	return $line;
}

# Returns the first line of the page that is not printed where it should be, or
# undef.
sub first_difference
{
	my ($shows, $printed) = @_;
	my @have = grep { $_ ne '' && !/^\(\d+ rows?\)$/ } map { trimmed($_) } @$printed;
	my $anywhere = 0;
	my $at = 0;

	for my $line (grep { $_ ne '' } map { trimmed($_) } @$shows)
	{
		if ($line eq '…')
		{
			$anywhere = 1;
			next;
		}
		my $cut = $line =~ s/\s*…$//;
		my $found = 0;
		while ($at < @have && !$found)
		{
			my $other = $have[$at++];
			$found = $cut ? index($other, $line) == 0 : $other eq $line;
			last if !$anywhere;
		}
		return $line if !$found;
		$anywhere = 0;
	}
	return !$anywhere && $at < @have ? "(nothing, where \"$have[$at]\" is printed)" : undef;
}

# Returns the lines of the bash blocks of a page, before or after its first sql block that runs.
sub shell_of
{
	my ($page, $debian, $wanted) = @_;
	my @out;
	my ($fence, $skip, $where, $release) = ('', 0, 'before', '');

	for my $line (lines_of($page))
	{
		if ($fence eq '' && $line =~ /^```(\w*)/)
		{
			$fence = $1 || 'none';
			$where = 'after' if $fence eq 'sql' && !$skip;
			$fence = 'other' if $fence eq 'bash' && ($skip || $where ne $wanted);
			$release = '';
			$skip = 0;
		}
		elsif ($line =~ /^```/)
		{
			$fence = '';
		}
		elsif ($fence eq 'bash')
		{
			$release = $1 if $line =~ /^# Debian (\d+)/;
			$release = '' if $line eq '';
			push @out, $line if $release eq '' || $release eq $debian;
		}
		elsif ($fence eq '' && $line =~ /\S/)
		{
			$skip = 1 if $line =~ /<!-- not run -->/;
		}
	}
	return @out;
}

my ($action, $page, $script, $stdout, $stderr) = @ARGV;
if ($action eq 'shell')
{
	print map { "$_\n" } shell_of($page, $script, $stdout);
	exit 0;
}
my @blocks = blocks_of($page);

if ($action eq 'extract')
{
	open(my $out, '>', $script) or die "$script: $!\n";
	for my $block (@blocks)
	{
		print $out "\\echo \@\@ $block->{line}\n", map { "$_\n" } @{ $block->{sql} };
	}
	exit 0;
}

# The block of each line of the script, and what each block printed.
my (%block_at, %printed, %said);
my $number = 0;
my $block = 0;
for my $line (lines_of($script))
{
	$number++;
	$block = $1 if $line =~ /^\\echo \@\@ (\d+)$/;
	$block_at{$number} = $block;
}
$block = 0;
for my $line (lines_of($stdout))
{
	if ($line =~ /^\@\@ (\d+)$/)
	{
		$block = $1;
		$printed{$block} = [];
		next;
	}
	push @{ $printed{$block} }, $line;
}
for my $line (lines_of($stderr))
{
	push @{ $said{ $block_at{$1} } }, $2 if $line =~ /^psql:[^:]*:(\d+): ((?:ERROR|FATAL|error).*)$/;
}

my ($compared, $failed) = (0, 0);
for my $b (@blocks)
{
	my @errors = @{ $said{ $b->{line} } || [] };
	my $shows = $b->{shows};

	if (!exists $printed{ $b->{line} })
	{
		print "$page:$b->{line}: not reached\n";
		$failed++;
		next;
	}
	if (@errors)
	{
		my $expected = $shows ? trimmed(join(' ', grep { /^ERROR/ } @$shows)) : '';
		if ($expected eq '' || trimmed($errors[0]) ne $expected)
		{
			print "$page:$b->{line}: $errors[0]\n";
			$failed++;
		}
		$compared++ if $shows;
		next;
	}
	next if !$shows;
	$compared++;
	my $missing = first_difference($shows, $printed{ $b->{line} });
	if (defined $missing)
	{
		print "$page:$b->{line}: not printed: $missing\n";
		$failed++;
	}
}
printf "%s: %d examples, %d outputs compared, %d wrong\n", $page, scalar(@blocks), $compared, $failed;
exit($failed > 0);
