/** What is killed. */
export interface Killable<P> {
  readonly provider: P;
  /** Ends the provider as `kill -9` would, and opens what it left. */
  kill(): Promise<P>;
}

/** Options of {@link killWhile}. */
export interface KillWhileOptions<P, I, T> {
  /** What is called for each of these, all at once. */
  call(provider: P, item: I): Promise<T>;
  readonly items: readonly I[];
  /** After how many answers it is killed; 0 for as soon as the calls were made. Defaults to `2`. */
  readonly answers?: number;
}

/** How long a call may go on when its provider was killed, in milliseconds. */
const settleMs = 2_000;

/**
 * Makes calls all at once, and kills the provider when some of them were answered, so that others are at every stage. Returns the provider that was opened
 * then, and the answers. Calls that were under way are over by then: they need not end, but where nothing but a restart stands for the kill, they may do what they
 * were asked for.
 */
export async function killWhile<P, I, T>(
  { provider, kill }: Killable<P>,
  { call, items, answers = 2 }: KillWhileOptions<P, I, T>,
): Promise<{ readonly after: P; readonly answered: ReadonlyMap<I, T> }> {
  const answered = new Map<I, T>();
  const some = Promise.withResolvers<void>();
  const calls = items.map(async (item) => {
    answered.set(item, await call(provider, item));
    if (answered.size === answers) some.resolve();
  });
  const settled = Promise.allSettled(calls);
  if (answers > 0) await Promise.race([some.promise, settled]);
  // Nobody was killed yet: a call that failed has failed by itself.
  if (answered.size < answers) await Promise.all(calls);
  const after = await kill();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, settleMs);
  });
  await Promise.race([settled, late]);
  clearTimeout(timer);
  return { after, answered };
}
