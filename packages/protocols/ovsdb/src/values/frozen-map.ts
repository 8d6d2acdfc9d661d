function refuse(): never {
  throw new TypeError("Rows are immutable: a map of a row can't be changed. Change the row by a transaction.");
}

const FROZEN: PropertyDescriptorMap = {
  set: { value: refuse },
  delete: { value: refuse },
  clear: { value: refuse },
};

/** Makes a `Map` unchangeable also for those who ignore its type. It stays a plain `Map` for comparisons. */
export function freezeMap<K, V>(map: Map<K, V>): ReadonlyMap<K, V> {
  Object.defineProperties(map, FROZEN);
  return Object.freeze(map);
}
