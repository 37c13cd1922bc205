/*-------------------------------------------------------------------------
 *
 * onnx_view.c
 *	  Views: where the elements of a value of the file lie in the output of a
 *	  node of src/nn.
 *
 *-------------------------------------------------------------------------
 */
#include "onnx_lower.h"

#include <string.h>

const OnnxAxes onnx_channels_first = {1, 2, 3};
const OnnxAxes onnx_channels_last = {3, 1, 2};

/* ----------------------------------------------------------- making them */

/* Appends an axis of one atom, or of none if its size is 1. */
static void
append_axis(OnnxView *view, int64_t size, int64_t stride)
{
	int axis = view->rank++;

	view->n_in[axis] = 0;
	if (size == 1 && stride != ONNX_BATCH)
		return;
	view->n_in[axis] = 1;
	view->atoms[view->n_atoms].size = size;
	view->atoms[view->n_atoms++].stride = stride;
}

static void
begin_view(OnnxView *view, const OnnxNetwork *net, int node)
{
	memset(view, 0, sizeof(*view));
	view->node = node;
	append_axis(view, net->batch, ONNX_BATCH);
}

void
onnx_view_image(OnnxView *view, const OnnxNetwork *net, int node, const OnnxAxes *axes)
{
	NnShape shape = onnx_shape(net, node);
	int axis;

	begin_view(view, net, node);
	for (axis = 1; axis < 4; axis++)
	{
		if (axis == axes->c)
			append_axis(view, shape.c, 1);
		else if (axis == axes->h)
			append_axis(view, shape.h, (int64_t) shape.w * shape.c);
		else
			append_axis(view, shape.w, shape.c);
	}
}

void
onnx_view_row(OnnxView *view, const OnnxNetwork *net, int node)
{
	NnShape shape = onnx_shape(net, node);

	begin_view(view, net, node);
	append_axis(view, (int64_t) shape.h * shape.w * shape.c, 1);
}

int
onnx_axis_start(const OnnxView *view, int axis)
{
	int start = 0;
	int i;

	for (i = 0; i < axis; i++)
		start += view->n_in[i];
	return start;
}

int64_t
onnx_axis_size(const OnnxView *view, int axis)
{
	int start = onnx_axis_start(view, axis);
	int64_t size = 1;
	int i;

	for (i = start; i < start + view->n_in[axis]; i++)
		size *= view->atoms[i].size;
	return size;
}

int
onnx_view_is_batch(const OnnxView *view, int64_t batch)
{
	return view->rank > 0 && view->n_in[0] == 1 && view->atoms[0].stride == ONNX_BATCH &&
		   view->atoms[0].size == batch;
}

/* Takes size elements from the atoms at *next on, which may be divided for that; 0 where they cannot be. */
static int
take_axis(OnnxView *to, OnnxView *from, int *next, int64_t size)
{
	int axis = to->rank++;
	int64_t left = size;

	to->n_in[axis] = 0;
	/* the samples join the first axis that is made, whatever their number */
	while (left > 1 || (*next < from->n_atoms && from->atoms[*next].stride == ONNX_BATCH && axis == 0))
	{
		OnnxAtom *atom = &from->atoms[*next];
		OnnxAtom part;

		if (*next >= from->n_atoms || to->n_atoms >= ONNX_MAX_ATOMS)
			return 0;
		part = *atom;
		if (left % atom->size == 0)
		{
			left /= atom->size;
			(*next)++;
		}
		else
		{
			if (left == 0 || atom->size % left != 0 || atom->stride == ONNX_BATCH)
				return 0;
			part.size = left;
			part.stride = atom->stride * (atom->size / left);
			atom->size /= left;
			left = 1;
		}
		to->atoms[to->n_atoms++] = part;
		to->n_in[axis]++;
	}
	return left == 1;
}

/* Joins atoms that lie one behind the other, of n in all; returns how many are left. */
static int
join_atoms(OnnxAtom *joined, const OnnxAtom *atoms, int n)
{
	int left = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		if (left > 0 && joined[left - 1].stride != ONNX_BATCH && atoms[i].stride != ONNX_BATCH &&
			joined[left - 1].stride == atoms[i].stride * atoms[i].size)
		{
			joined[left - 1].size *= atoms[i].size;
			joined[left - 1].stride = atoms[i].stride;
		}
		else
			joined[left++] = atoms[i];
	}
	return left;
}

int
onnx_view_reshape(OnnxView *view, const int64_t *dims, int rank)
{
	OnnxView from = *view;
	OnnxView to = *view;
	int next = 0;
	int i;

	/* joined first, they can be divided elsewhere than before */
	from.n_atoms = join_atoms(from.atoms, view->atoms, view->n_atoms);

	if (rank < 1 || rank > ONNX_MAX_RANK)
		return 0;
	to.rank = to.n_atoms = 0;
	for (i = 0; i < rank; i++)
		if (dims[i] < 1 || !take_axis(&to, &from, &next, dims[i]))
			return 0;
	if (next < from.n_atoms)
		return 0;
	*view = to;
	return 1;
}

int
onnx_view_transpose(OnnxView *view, const int *order)
{
	OnnxView from = *view;
	int i, j;

	view->n_atoms = 0;
	for (i = 0; i < from.rank; i++)
	{
		int start = onnx_axis_start(&from, order[i]);

		view->n_in[i] = from.n_in[order[i]];
		for (j = 0; j < view->n_in[i]; j++)
			view->atoms[view->n_atoms++] = from.atoms[start + j];
	}
	return 1;
}

/* Removes the atom at i of an axis. */
static void
remove_atom(OnnxView *view, int axis, int i)
{
	memmove(&view->atoms[i], &view->atoms[i + 1], sizeof(OnnxAtom) * (size_t) (view->n_atoms - i - 1));
	view->n_atoms--;
	view->n_in[axis]--;
}

int
onnx_view_slice(OnnxView *view, int axis, int64_t start, int64_t count, int64_t step)
{
	int first = onnx_axis_start(view, axis);
	OnnxAtom *atom = &view->atoms[first];
	int64_t inner;

	if (count < 1 || view->n_in[axis] == 0)
		return count == 1 && start == 0;
	if (atom->stride == ONNX_BATCH)
		return start == 0 && count == atom->size && step == 1;
	inner = onnx_axis_size(view, axis) / atom->size;
	/* whole turns of the inner atoms, or a part of the innermost within one turn */
	while (inner > 1 && start / inner == (start + (count - 1) * step) / inner)
	{
		view->offset += start / inner * atom->stride;
		start %= inner;
		remove_atom(view, axis, first);
		inner /= atom->size;
	}
	if (start % inner != 0 || (inner > 1 && (count % inner != 0 || step != 1)))
		return 0;
	view->offset += start / inner * atom->stride;
	atom->size = count / inner;
	atom->stride *= step;
	if (atom->size == 1)
		remove_atom(view, axis, first);
	return 1;
}

int
onnx_view_gather(OnnxView *view, int axis, int64_t start, int64_t outer, int64_t outer_stride, int64_t inner,
				 int64_t inner_stride)
{
	int first = onnx_axis_start(view, axis);
	int64_t sizes[2] = {outer, inner};
	int64_t strides[2] = {outer_stride, inner_stride};
	OnnxAtom atom;
	int i;

	if (view->n_in[axis] != 1 || view->atoms[first].stride == ONNX_BATCH || view->n_atoms >= ONNX_MAX_ATOMS)
		return 0;
	atom = view->atoms[first];
	view->offset += start * atom.stride;
	remove_atom(view, axis, first);
	for (i = 1; i >= 0; i--)
	{
		if (sizes[i] == 1)
			continue;
		memmove(&view->atoms[first + 1], &view->atoms[first],
				sizeof(OnnxAtom) * (size_t) (view->n_atoms - first));
		view->atoms[first].size = sizes[i];
		view->atoms[first].stride = strides[i] * atom.stride;
		view->n_atoms++;
		view->n_in[axis]++;
	}
	return 1;
}

int
onnx_view_same(const OnnxNetwork *net, const OnnxView *a, const OnnxView *b)
{
	NnShape x = onnx_shape(net, a->node);
	NnShape y = onnx_shape(net, b->node);

	return x.rank == y.rank && x.h == y.h && x.w == y.w && x.c == y.c && a->offset == b->offset &&
		   a->rank == b->rank && a->n_atoms == b->n_atoms &&
		   memcmp(a->n_in, b->n_in, sizeof(int) * (size_t) a->rank) == 0 &&
		   memcmp(a->atoms, b->atoms, sizeof(OnnxAtom) * (size_t) a->n_atoms) == 0;
}

/* --------------------------------------------------------- looking at them */

/* Tells whether an axis is the whole of size elements, stride floats apart. */
static int
axis_is(const OnnxView *view, int axis, int64_t size, int64_t stride)
{
	const OnnxAtom *atom = &view->atoms[onnx_axis_start(view, axis)];

	if (view->n_in[axis] == 0)
		return size == 1;
	return view->n_in[axis] == 1 && atom->size == size && (size == 1 || atom->stride == stride);
}

/*
 * Tells whether the axes, one after the other, are all of the node's floats in
 * their order.
 */
static int
is_in_order(const OnnxNetwork *net, const OnnxView *view, const int *axes, int n_axes)
{
	NnShape shape = onnx_shape(net, view->node);
	int64_t stride = 1;
	int i, j;

	if (view->offset != 0)
		return 0;
	for (i = n_axes - 1; i >= 0; i--)
	{
		int start = onnx_axis_start(view, axes[i]);

		for (j = start + view->n_in[axes[i]] - 1; j >= start; j--)
		{
			if (view->atoms[j].stride != stride)
				return 0;
			stride *= view->atoms[j].size;
		}
	}
	return stride == (int64_t) shape.h * shape.w * shape.c;
}

OnnxFit
onnx_view_fit(const OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes)
{
	NnShape shape = onnx_shape(net, view->node);
	int memory[3] = {axes->h, axes->w, axes->c};
	int start, i;

	if (view->rank != 4 || !onnx_view_is_batch(view, net->batch))
		return ONNX_FIT_NONE;
	if (axis_is(view, axes->h, shape.h, (int64_t) shape.w * shape.c) &&
		axis_is(view, axes->w, shape.w, shape.c))
	{
		if (axis_is(view, axes->c, shape.c, 1) && view->offset == 0)
			return ONNX_FIT_AS_IS;
		start = onnx_axis_start(view, axes->c);
		for (i = start; i < start + view->n_in[axes->c]; i++)
			if (view->atoms[i].stride >= shape.c)
				break;
		if (i == start + view->n_in[axes->c] && view->offset < shape.c)
			return ONNX_FIT_CHANNELS;
	}
	return is_in_order(net, view, memory, 3) ? ONNX_FIT_RESHAPE : ONNX_FIT_NONE;
}

/* Fills where element i of the atoms from start on lies. */
static int64_t
place_of(const OnnxView *view, int start, int n, int64_t i)
{
	int64_t place = view->offset;
	int k;

	for (k = start + n - 1; k >= start; k--)
	{
		place += i % view->atoms[k].size * view->atoms[k].stride;
		i /= view->atoms[k].size;
	}
	return place;
}

int *
onnx_view_channels(OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes)
{
	int64_t n = onnx_axis_size(view, axes->c);
	int start = onnx_axis_start(view, axes->c);
	int *channels = onnx_net_alloc(net, (size_t) n, sizeof(int));
	int64_t i;

	for (i = 0; channels != NULL && i < n; i++)
		channels[i] = (int) place_of(view, start, view->n_in[axes->c], i);
	return channels;
}

/* --------------------------------------------------- making nodes of them */

static const OnnxNode *
current_node(const OnnxNetwork *net)
{
	return net->file->nodes[net->current];
}

int
onnx_need_map(OnnxNetwork *net, int node)
{
	NnShape shape = onnx_shape(net, node);
	NnNodeSpec spec;
	NnValue *target;
	int map;

	if (shape.rank == 3)
		return node;
	onnx_begin(net, &spec, "Reshape", "/map");
	target = nn_node_param(&spec, "target_shape");
	target->v[0] = target->v[1] = 1;
	target->v[2] = shape.c;
	target->v[3] = 3;
	map = onnx_add_one(net, &spec, node);
	if (map > 0)
		net->positive[map] = net->positive[node];
	return map;
}

/* Makes a node that gives some of the channels of an image, in an order of their own. */
static int
select_channels(OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes)
{
	OnnxAtom atoms[ONNX_MAX_ATOMS];
	int n = join_atoms(atoms, &view->atoms[onnx_axis_start(view, axes->c)], view->n_in[axes->c]);
	NnNodeSpec spec;
	int node;

	if (n > 2)
	{
		onnx_refuse(net, current_node(net), "takes channels in an order that is not supported");
		return -1;
	}
	onnx_begin(net, &spec, "SelectChannels", "/select");
	nn_node_param(&spec, "start")->v[0] = (double) view->offset;
	nn_node_param(&spec, "inner")->v[0] = 1;
	if (n > 0)
	{
		nn_node_param(&spec, "inner")->v[0] = (double) atoms[n - 1].size;
		nn_node_param(&spec, "inner_stride")->v[0] = (double) atoms[n - 1].stride;
	}
	if (n > 1)
	{
		nn_node_param(&spec, "outer")->v[0] = (double) atoms[0].size;
		nn_node_param(&spec, "outer_stride")->v[0] = (double) atoms[0].stride;
	}
	node = onnx_add_one(net, &spec, view->node);
	if (node > 0)
		net->positive[node] = net->positive[view->node];
	return node;
}

int
onnx_need_image(OnnxNetwork *net, const OnnxView *view, const OnnxAxes *axes)
{
	OnnxFit fit = onnx_view_fit(net, view, axes);
	NnNodeSpec spec;
	NnValue *target;
	int node;

	switch (fit)
	{
		case ONNX_FIT_AS_IS:
			return view->node;
		case ONNX_FIT_CHANNELS:
			return select_channels(net, view, axes);
		case ONNX_FIT_RESHAPE:
			onnx_begin(net, &spec, "Reshape", "/reshape");
			target = nn_node_param(&spec, "target_shape");
			target->v[0] = (double) onnx_axis_size(view, axes->h);
			target->v[1] = (double) onnx_axis_size(view, axes->w);
			target->v[2] = (double) onnx_axis_size(view, axes->c);
			target->v[3] = 3;
			node = onnx_add_one(net, &spec, view->node);
			if (node > 0)
				net->positive[node] = net->positive[view->node];
			return node;
		case ONNX_FIT_NONE:
			break;
	}
	onnx_refuse(net, current_node(net), "takes a value of %d dimensions that is not an image", view->rank);
	return -1;
}

/* Returns the node that gives a node's output as a row. */
static int
flattened(OnnxNetwork *net, int node)
{
	NnNodeSpec spec;

	if (onnx_shape(net, node).rank == 1)
		return node;
	if (net->flat[node] == 0)
	{
		int flat;

		onnx_begin(net, &spec, "Flatten", "/flatten");
		flat = onnx_add_one(net, &spec, node);
		if (flat < 0)
			return -1;
		net->flat[node] = flat;
		net->positive[flat] = net->positive[node];
	}
	return net->flat[node];
}

int
onnx_need_row(OnnxNetwork *net, const OnnxView *view, int **place)
{
	int axes[ONNX_MAX_RANK];
	int64_t n = 1;
	int64_t i;

	if (place != NULL)
		*place = NULL;
	if (view->rank < 1 || !onnx_view_is_batch(view, net->batch))
	{
		onnx_refuse(net, current_node(net), "takes a value whose first dimension is not that of the images");
		return -1;
	}
	for (i = 1; i < view->rank; i++)
	{
		axes[i - 1] = (int) i;
		n *= onnx_axis_size(view, (int) i);
	}
	if (!is_in_order(net, view, axes, view->rank - 1))
	{
		if (place == NULL)
		{
			onnx_refuse(net, current_node(net), "takes values in an order of their own");
			return -1;
		}
		*place = onnx_net_alloc(net, (size_t) n, sizeof(int));
		if (*place == NULL)
			return -1;
		for (i = 0; i < n; i++)
			(*place)[i] = (int) place_of(view, 1, view->n_atoms - 1, i);
	}
	return flattened(net, view->node);
}
