/*-------------------------------------------------------------------------
 *
 * fpenv.h
 *	  The floating-point flags of a computing call.  Owner: fpenv.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PNEUMO_NN_FPENV_H
#define PNEUMO_NN_FPENV_H

/* Sets FTZ and DAZ in the calling thread; returns what nn_fpenv_restore() needs. */
extern unsigned int nn_fpenv_set(void);

/* Gives the thread's flags back as nn_fpenv_set() found them. */
extern void nn_fpenv_restore(unsigned int saved);

#endif /* PNEUMO_NN_FPENV_H */
