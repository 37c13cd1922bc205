/*-------------------------------------------------------------------------
 *
 * update_impl.h
 *	  Optimiser steps, compiled per instruction set.  Formulas: Keras 3.
 *
 * The last, partial vector goes through the same instructions on copies, so an
 * element's bits do not depend on its place.
 *
 *-------------------------------------------------------------------------
 */
typedef struct UpLane
{
	vf w, s0, s1, s2;
} UpLane;

NN_INLINE vf
up_gradient(vf g, const NnUpdate *u)
{
	if (u->grad_scale != 1.0f)
		g = v_mul(g, v_set1(u->grad_scale));
	if (u->clip > 0.0f)
		g = v_min(v_max(g, v_set1(-u->clip)), v_set1(u->clip));
	return g;
}

/* Steps by m = momentum m - rate g; w += m, or w += momentum m - rate g (nesterov). */
NN_INLINE void
up_sgd(UpLane *x, vf g, const NnUpdate *u)
{
	vf step = v_mul(v_set1(u->rate), g);

	if (u->momentum == 0.0f)
		x->w = v_sub(x->w, step);
	else
	{
		x->s0 = v_sub(v_mul(v_set1(u->momentum), x->s0), step);
		if (u->nesterov)
			x->w = v_add(x->w, v_sub(v_mul(v_set1(u->momentum), x->s0), step));
		else
			x->w = v_add(x->w, x->s0);
	}
}

/* Steps by v = rho v + (1 - rho) g g; w -= rate g / sqrt(v [- a a] + epsilon). */
NN_INLINE void
up_rmsprop(UpLane *x, vf g, const NnUpdate *u)
{
	vf rho = v_set1(u->rho);
	vf rest = v_set1(1.0f - u->rho);
	vf root, step;

	x->s0 = v_fma(rho, x->s0, v_mul(rest, v_mul(g, g)));
	root = x->s0;
	if (u->centered)
	{
		x->s2 = v_fma(rho, x->s2, v_mul(rest, g));
		root = v_sub(root, v_mul(x->s2, x->s2));
	}
	root = v_sqrt(v_add(root, v_set1(u->epsilon)));
	step = v_div(v_mul(v_set1(u->rate), g), root);
	if (u->momentum != 0.0f)
	{
		x->s1 = v_fma(v_set1(u->momentum), x->s1, step);
		step = x->s1;
	}
	x->w = v_sub(x->w, step);
}

/* Steps by m += (1 - b1)(g - m); v += (1 - b2)(g g - v); w -= rate m / (sqrt(v) + epsilon). */
NN_INLINE void
up_adam(UpLane *x, vf g, const NnUpdate *u)
{
	vf v;

	x->s0 = v_fma(v_set1(1.0f - u->beta_1), v_sub(g, x->s0), x->s0);
	x->s1 = v_fma(v_set1(1.0f - u->beta_2), v_sub(v_mul(g, g), x->s1), x->s1);
	v = x->s1;
	if (u->amsgrad)
		v = x->s2 = v_max(x->s2, v);
	x->w = v_sub(x->w, v_div(v_mul(v_set1(u->rate), x->s0), v_add(v_sqrt(v), v_set1(u->epsilon))));
}

/* Updates n weights of one optimiser; kind and which slots there are, are constants of the caller. */
NN_INLINE void
up_run(float *w, const NnSlots *slots, const float *grad, size_t n, const NnUpdate *u, const int kind,
	   const int has0, const int has1, const int has2)
{
	float *s0 = slots->s[0];
	float *s1 = slots->s[1];
	float *s2 = slots->s[2];
	size_t i;

	for (i = 0; i < n; i += VW)
	{
		UpLane x;
		vf g;
		int k = n - i < VW ? (int) (n - i) : VW;

		x.s0 = x.s1 = x.s2 = v_zero();
		g = v_load_n(grad + i, k);
		x.w = v_load_n(w + i, k);
		if (has0)
			x.s0 = v_load_n(s0 + i, k);
		if (has1)
			x.s1 = v_load_n(s1 + i, k);
		if (has2)
			x.s2 = v_load_n(s2 + i, k);
		g = up_gradient(g, u);
		if (u->decay != 0.0f)
			x.w = v_sub(x.w, v_mul(x.w, v_set1(u->decay)));
		if (kind == NN_SGD)
			up_sgd(&x, g, u);
		else if (kind == NN_RMSPROP)
			up_rmsprop(&x, g, u);
		else
			up_adam(&x, g, u);
		v_store_n(w + i, x.w, k);
		if (has0)
			v_store_n(s0 + i, x.s0, k);
		if (has1)
			v_store_n(s1 + i, x.s1, k);
		if (has2)
			v_store_n(s2 + i, x.s2, k);
	}
}

static void
update_run(float *weight, const NnSlots *slots, const float *grad, size_t n, const NnUpdate *u)
{
	switch (u->kind)
	{
		case NN_SGD:
			if (u->momentum != 0.0f)
				up_run(weight, slots, grad, n, u, NN_SGD, 1, 0, 0);
			else
				up_run(weight, slots, grad, n, u, NN_SGD, 0, 0, 0);
			break;
		case NN_RMSPROP:
			if (u->momentum == 0.0f && !u->centered)
				up_run(weight, slots, grad, n, u, NN_RMSPROP, 1, 0, 0);
			else
				up_run(weight, slots, grad, n, u, NN_RMSPROP, 1, u->momentum != 0.0f, u->centered);
			break;
		case NN_ADAM:
		case NN_ADAMW:
			if (u->amsgrad)
				up_run(weight, slots, grad, n, u, NN_ADAM, 1, 1, 1);
			else
				up_run(weight, slots, grad, n, u, NN_ADAM, 1, 1, 0);
			break;
	}
}
