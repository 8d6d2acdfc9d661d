interface ContractVersion {
  readonly major: number;
  readonly minor: number;
}

/** Reads `major.minor`, ignoring a patch level. `undefined` for anything else. */
function parseContractVersion(text: string): ContractVersion | undefined {
  const match = /^(\d{1,9})\.(\d{1,9})(?:\.\d{1,9})?$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/**
 * Whether something built against version `required` of a contract can use one that offers version `offered`.
 *
 * The rules, for contracts and for `@vdc-os/core` itself:
 * 1. the major must be the same;
 * 2. the offered minor must be at least the required one: a minor only adds;
 * 3. with major 0 the minor counts as a major, so it must be the same;
 * 4. a patch level does not matter; anything that is not `major.minor[.patch]` is compatible with nothing.
 */
export function isContractCompatible(required: string, offered: string): boolean {
  const need = parseContractVersion(required);
  const have = parseContractVersion(offered);
  if (need === undefined || have === undefined || need.major !== have.major) return false;
  return need.major === 0 ? need.minor === have.minor : have.minor >= need.minor;
}
