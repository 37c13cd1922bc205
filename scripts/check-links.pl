#!/usr/bin/perl
# check-links.pl PAGE...
#
# Prints each relative link of the pages whose file or heading does not exist.
# Headings become anchors as on GitHub: lower case, blanks as hyphens, other
# marks left out.

use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use File::Basename qw(dirname);

# Returns the lines of a page outside of fenced blocks, with their numbers.
sub prose_of
{
	my ($page) = @_;
	my ($inside, @lines) = (0);

	open(my $in, '<', $page) or die "$page: $!\n";
	while (my $line = <$in>)
	{
		if ($line =~ /^\s*```/)
		{
			$inside = !$inside;
			next;
		}
		push @lines, [$., $line] if !$inside;
	}
	return @lines;
}

my %anchors_of;

# Returns the anchors of a page's headings.
sub anchors
{
	my ($page) = @_;

	if (!$anchors_of{$page})
	{
		my %seen;
		for my $line (prose_of($page))
		{
			next if $line->[1] !~ /^#{1,6}\s+(.*?)\s*$/;
			my $anchor = lc $1;
			$anchor =~ s/[^\w\- ]//g;
			$anchor =~ tr/ /-/;
			my $twice = $seen{$anchor}++;
			$anchors_of{$page}{ $twice ? "$anchor-$twice" : $anchor } = 1;
		}
		$anchors_of{$page} ||= {};
	}
	return $anchors_of{$page};
}

for my $page (@ARGV)
{
	for my $line (prose_of($page))
	{
		my ($number, $text) = @$line;
		$text =~ s/`[^`]*`//g;
		while ($text =~ /\]\(([^)\s]+)\)|(?:src|href)="([^"]+)"/g)
		{
			my $link = $1 // $2;
			next if $link =~ /^[a-z]+:/;
			my ($file, $anchor) = split /#/, $link, 2;
			my $target = $file eq '' ? $page : $file =~ m{^/} ? $file : dirname($page) . "/$file";
			1 while $target =~ s{(^|/)(?!\.\.?/)[^/]+/\.\./}{$1};
			$target =~ s{^(\./)+}{};
			if (!-e $target)
			{
				print "$page:$number: $link: no such file\n";
			}
			elsif (defined $anchor && $target =~ /\.md$/ && !anchors($target)->{$anchor})
			{
				print "$page:$number: $link: no such heading\n";
			}
		}
	}
}
