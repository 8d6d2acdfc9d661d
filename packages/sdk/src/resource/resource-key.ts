import type { ObjectKey } from "./resource.ts";

/** Where objects are kept in the state store. */
export const objectsPrefix = "objects/";

/** The state store's key of an object. */
export function stateKeyOf(kind: string, { tenant, name }: ObjectKey): string {
  return `${objectsPrefix}${tenant}/${kind}/${name}`;
}

/** The state store's prefix of a tenant's objects of a kind. */
export function kindPrefixOf(kind: string, tenant: string): string {
  return `${objectsPrefix}${tenant}/${kind}/`;
}

/** The object that a key of the state store names; `undefined` for another key. */
export function parseStateKey(key: string): (ObjectKey & { readonly kind: string }) | undefined {
  const [prefix, tenant, kind, name, ...rest] = key.split("/");
  if (`${prefix}/` !== objectsPrefix || !tenant || !kind || !name || rest.length > 0) return undefined;
  return { tenant, kind, name };
}
