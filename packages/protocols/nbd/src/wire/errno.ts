/** The error names that NBD carries ("Error values"); every other failure crosses the wire as `EIO`. */
export type NbdErrno = "EPERM" | "EIO" | "ENOMEM" | "EINVAL" | "ENOSPC" | "EOVERFLOW" | "ENOTSUP" | "ESHUTDOWN";

const NUMBERS: Readonly<Record<NbdErrno, number>> = {
  EPERM: 1,
  EIO: 5,
  ENOMEM: 12,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
};

const NAMES: ReadonlyMap<number, NbdErrno> = new Map(
  Object.entries(NUMBERS).map(([name, number]) => [number, name as NbdErrno]),
);

/** System errors, and the words that disk images use, that mean the same as one of NBD's. */
const ALIASES: ReadonlyMap<string, NbdErrno> = new Map<string, NbdErrno>([
  ["EACCES", "EPERM"],
  ["EROFS", "EPERM"],
  ["EDQUOT", "ENOSPC"],
  ["EFBIG", "ENOSPC"],
  ["EOPNOTSUPP", "ENOTSUP"],
  ["NO_SPACE", "ENOSPC"],
  ["READ_ONLY", "EPERM"],
  ["OUT_OF_RANGE", "EINVAL"],
  ["INVALID_ARGUMENT", "EINVAL"],
  ["TOO_LARGE", "ENOSPC"],
]);

/** The number that an error name has on the wire. */
export function errnoNumber(errno: NbdErrno): number {
  return NUMBERS[errno];
}

/** The name of a number from the wire; what the protocol doesn't define is `EIO`. */
export function errnoName(number: number): NbdErrno {
  return NAMES.get(number) ?? "EIO";
}

/**
 * What a backend's or an interceptor's error is on the wire: by its `errno` when that is one of the names, else by its `code`
 * (a Node system error's, such as `ENOSPC`), else `EIO`.
 */
export function errnoOf(error: unknown): NbdErrno {
  if (typeof error !== "object" || error === null) return "EIO";
  const { errno, code } = error as { readonly errno?: unknown; readonly code?: unknown };
  for (const name of [errno, code]) {
    if (typeof name !== "string") continue;
    if (Object.hasOwn(NUMBERS, name)) return name as NbdErrno;
    const alias = ALIASES.get(name);
    if (alias) return alias;
  }
  return "EIO";
}
