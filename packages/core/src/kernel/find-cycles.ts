/**
 * One cycle of each knot in a graph (Tarjan's strongly connected components, without recursion: a chain of ten thousand plugins must
 * not overflow the stack). Every knot gives the shortest way from its first node back to itself.
 */
export function findCycles<N>(nodes: readonly N[], edges: (node: N) => readonly N[]): readonly (readonly N[])[] {
  const index = new Map<N, number>();
  const low = new Map<N, number>();
  const stack: N[] = [];
  const onStack = new Set<N>();
  const cycles: (readonly N[])[] = [];
  for (const start of nodes) {
    if (index.has(start)) continue;
    const work: { readonly node: N; readonly targets: readonly N[]; next: number }[] = [];
    const enter = (node: N): void => {
      index.set(node, index.size);
      low.set(node, index.get(node) as number);
      stack.push(node);
      onStack.add(node);
      work.push({ node, targets: edges(node), next: 0 });
    };
    enter(start);
    for (let frame = work.at(-1); frame !== undefined; frame = work.at(-1)) {
      const { node } = frame;
      const target = frame.targets[frame.next++];
      if (target !== undefined) {
        if (!index.has(target)) enter(target);
        else if (onStack.has(target)) low.set(node, Math.min(low.get(node) as number, index.get(target) as number));
        continue;
      }
      work.pop();
      const parent = work.at(-1)?.node;
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent) as number, low.get(node) as number));
      if (low.get(node) !== index.get(node)) continue;
      const knot = new Set<N>();
      for (let member = stack.pop() as N; ; member = stack.pop() as N) {
        onStack.delete(member);
        knot.add(member);
        if (member === node) break;
      }
      if (knot.size > 1 || edges(node).includes(node)) cycles.push(shortestCycle(node, knot, edges));
    }
  }
  return cycles;
}

function shortestCycle<N>(start: N, knot: ReadonlySet<N>, edges: (node: N) => readonly N[]): readonly N[] {
  const from = new Map<N, N>();
  const queue = [start];
  for (let at = 0; at < queue.length; at++) {
    const node = queue[at] as N;
    for (const target of edges(node)) {
      if (target === start) {
        const path = [node];
        for (let step = node; step !== start; ) {
          step = from.get(step) as N;
          path.unshift(step);
        }
        return path;
      }
      if (!knot.has(target) || from.has(target)) continue;
      from.set(target, node);
      queue.push(target);
    }
  }
  return [start];
}
