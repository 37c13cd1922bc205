/*-------------------------------------------------------------------------
 *
 * options.c
 *	  The command line.
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

const char *const kind_names[N_KINDS] = {"image", "file", "label", "split", "patient"};

/* Of the long options that have no letter. */
enum
{
	OPTION_CREATE = 256,
	OPTION_LABEL,
	OPTION_UNLABELLED,
	OPTION_PATIENT,
	OPTION_ROOT,
	OPTION_LEFT_OUT,
	OPTION_CONTENT,
	OPTION_SKIP,
	OPTION_COLUMN
};

static void
print_help(void)
{
	puts(PROGRAM " loads JPEG, PNG and DICOM images into a table of a PostgreSQL server.\n"
				 "\n"
				 "Usage:\n"
				 "  " PROGRAM " [OPTION]... SOURCE [DBNAME]\n"
				 "\n"
				 "SOURCE is a folder (train|val|test/CLASS/file or CLASS/file), a manifest (CSV with\n"
				 "columns path, label, patient, split and others), or a DICOMDIR.\n"
				 "\n"
				 "What is loaded:\n"
				 "  -n, --dry-run             say what the source was understood as, and do nothing\n"
				 "      --label=LABEL         the label of all images\n"
				 "      --unlabelled          leave the label NULL\n"
				 "      --patient-pattern=RE  the patient is what RE, or its first group, matches in\n"
				 "                            the path, as in 'person[0-9]+'\n"
				 "      --root=FOLDER         the paths of the manifest are below FOLDER\n"
				 "      --left-out=FILE       write all that is left out, and why, into FILE\n"
				 "\n"
				 "Where to:\n"
				 "  -t, --table=NAME          the table (default xrays)\n"
				 "      --create-table        make the table if there is none\n"
				 "      --column=KIND=NAME    the column for image, file, label, split or patient\n"
				 "      --same-content        leave out what the table has under any name\n"
				 "      --skip-rejected       go on after an image that the server rejects\n"
				 "  -j, --jobs=N              load by N connections (default 1)\n"
				 "  -q, --quiet               print nothing but errors\n"
				 "\n"
				 "Connection, as psql:\n"
				 "  -h, --host=NAME  -p, --port=PORT  -U, --username=NAME  -d, --dbname=NAME or URI\n"
				 "\n"
				 "Exit status: 0 done, 1 error, 2 no connection, 3 interrupted, 4 done, with images\n"
				 "left out.  The manual page says more.");
}

static void usage(const char *message, const char *value) __attribute__((noreturn));

/* Ends the program for a mistake in the command line. */
static void
usage(const char *message, const char *value)
{
	fprintf(stderr, PROGRAM ": %s%s%s%s\n", message, value != NULL ? ": \"" : "", value != NULL ? value : "",
			value != NULL ? "\"" : "");
	fprintf(stderr, "Try \"" PROGRAM " --help\".\n");
	exit(EXIT_ERROR);
}

/* Takes KIND=NAME. */
static void
set_column(Options *options, const char *text)
{
	const char *equals = strchr(text, '=');

	for (int i = 0; i < N_KINDS && equals != NULL; i++)
		if (strlen(kind_names[i]) == (size_t) (equals - text) &&
			strncmp(text, kind_names[i], (size_t) (equals - text)) == 0 && equals[1] != '\0')
		{
			options->column[i] = equals + 1;
			return;
		}
	usage("--column wants image, file, label, split or patient, \"=\" and a name", text);
}

static void
set_jobs(Options *options, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < 1 || n > MAX_JOBS)
		usage("--jobs wants a number from 1 to 64", text);
	options->jobs = (int) n;
}

static void
set_pattern(Options *options, const char *text)
{
	char why[200];
	int code = regcomp(&options->patient_regex, text, REG_EXTENDED);

	if (code != 0)
	{
		regerror(code, &options->patient_regex, why, sizeof(why));
		fatal(EXIT_ERROR, "--patient-pattern \"%s\": %s", text, why);
	}
	options->patient_pattern = text;
}

/* Takes one option. */
static void
take_option(Options *options, int option, const char *value)
{
	switch (option)
	{
		case 'h':
			options->host = value;
			break;
		case 'p':
			options->port = value;
			break;
		case 'U':
			options->user = value;
			break;
		case 'd':
			options->dbname = value;
			break;
		case 't':
			options->table = value;
			break;
		case 'n':
			options->dry_run = 1;
			break;
		case 'j':
			set_jobs(options, value);
			break;
		case 'q':
			options->quiet = 1;
			break;
		case 'w': /* as psql's: there never is a prompt */
			break;
		case OPTION_CREATE:
			options->create_table = 1;
			break;
		case OPTION_LABEL:
			options->label = value;
			break;
		case OPTION_UNLABELLED:
			options->unlabelled = 1;
			break;
		case OPTION_PATIENT:
			set_pattern(options, value);
			break;
		case OPTION_ROOT:
			options->root = value;
			break;
		case OPTION_LEFT_OUT:
			options->left_out_file = value;
			break;
		case OPTION_CONTENT:
			options->by_content = 1;
			break;
		case OPTION_SKIP:
			options->skip_rejected = 1;
			break;
		case OPTION_COLUMN:
			set_column(options, value);
			break;
		case 'V':
			puts(PROGRAM " (pneumo) " PNEUMO_CLIENT_VERSION);
			exit(EXIT_DONE);
		case '?':
			/* "-?" itself asks for help; what is unknown was named by getopt */
			if (optopt == 0 || optopt == '?')
			{
				print_help();
				exit(EXIT_DONE);
			}
			/* FALLTHROUGH */
		default:
			fprintf(stderr, "Try \"" PROGRAM " --help\".\n");
			exit(EXIT_ERROR);
	}
}

void
read_options(Options *options, int argc, char **argv)
{
	static const struct option longs[] = {
		{"host", required_argument, NULL, 'h'},
		{"port", required_argument, NULL, 'p'},
		{"username", required_argument, NULL, 'U'},
		{"dbname", required_argument, NULL, 'd'},
		{"no-password", no_argument, NULL, 'w'},
		{"table", required_argument, NULL, 't'},
		{"dry-run", no_argument, NULL, 'n'},
		{"jobs", required_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'},
		{"create-table", no_argument, NULL, OPTION_CREATE},
		{"label", required_argument, NULL, OPTION_LABEL},
		{"unlabelled", no_argument, NULL, OPTION_UNLABELLED},
		{"patient-pattern", required_argument, NULL, OPTION_PATIENT},
		{"root", required_argument, NULL, OPTION_ROOT},
		{"left-out", required_argument, NULL, OPTION_LEFT_OUT},
		{"same-content", no_argument, NULL, OPTION_CONTENT},
		{"skip-rejected", no_argument, NULL, OPTION_SKIP},
		{"column", required_argument, NULL, OPTION_COLUMN},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'H'},
		{NULL, 0, NULL, 0},
	};
	int option;

	memset(options, 0, sizeof(*options));
	options->table = "xrays";
	options->jobs = 1;
	memcpy(options->column, kind_names, sizeof(options->column));
	while ((option = getopt_long(argc, argv, "h:p:U:d:wt:nj:qV", longs, NULL)) != -1)
	{
		if (option == 'H')
		{
			print_help();
			exit(EXIT_DONE);
		}
		take_option(options, option, optarg);
	}
	if (optind >= argc)
		usage("what is to be loaded?  A folder, a manifest or a DICOMDIR is missing", NULL);
	options->source = argv[optind++];
	if (optind < argc && options->dbname == NULL)
		options->dbname = argv[optind++];
	if (optind < argc)
		usage("too many arguments", argv[optind]);
	if (options->label != NULL && options->unlabelled)
		usage("--label and --unlabelled exclude each other", NULL);
}
