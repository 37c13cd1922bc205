/*-------------------------------------------------------------------------
 *
 * disk.c
 *	  Whether a large file fits on the disk before it is written.
 *
 * A training writes two large things: checkpoints and its version.  On a disk
 * that they fill, any other session's write of WAL is a PANIC, which takes the
 * server down.  So that many bytes plus pneumo.disk_reserve must be free first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "pg/base/base.h"
#include "pg/train/train.h"

void
pneumo_disk_require(const char *what, double bytes, const char *const *folders, int n_folders,
					const char *hint)
{
	double reserve = (double) pneumo_disk_reserve * 1024 * 1024;
	int i;

	if (pneumo_disk_reserve == 0)
		return;
	for (i = 0; i < n_folders; i++)
	{
		struct stat here;
		struct statvfs system;
		double needed = 0;
		double available;
		int k;

		if (stat(folders[i], &here) != 0 || statvfs(folders[i], &system) != 0)
			ereport(ERROR,
					(errcode_for_file_access(), errmsg("could not stat directory \"%s\": %m", folders[i])));
		for (k = 0; k < n_folders; k++)
		{
			struct stat other;

			if (stat(folders[k], &other) == 0 && other.st_dev == here.st_dev)
				needed += bytes;
		}
		available = (double) system.f_bavail * (double) system.f_frsize;
		if (needed + reserve > available)
			ereport(ERROR, (errcode(ERRCODE_DISK_FULL),
							errmsg("%s needs %s on the disk of directory \"%s\", %s are free, and "
								   "pneumo.disk_reserve keeps %s of them",
								   what, pneumo_memory_text(needed), folders[i],
								   pneumo_memory_text(available), pneumo_memory_text(reserve)),
							errhint("%s", hint)));
	}
}
