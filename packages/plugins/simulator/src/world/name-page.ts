import { type Page, type PageRequest, VdcError } from "@vdc-os/core";

const tokenPrefix = "after:";

/**
 * One page of items in order of their key. The token names the last key of the page before, so that items which come and go meanwhile
 * disturb nothing. A token that is not of this kind fails with `ABORTED`.
 */
export function pageByKey<T>(items: Iterable<T>, keyOf: (item: T) => string, request: PageRequest): Page<T> {
  const { limit = 1000, pageToken } = request;
  if (pageToken !== undefined && !pageToken.startsWith(tokenPrefix)) {
    throw new VdcError("ABORTED", "the page token is not one of this list: begin again");
  }
  const after = pageToken?.slice(tokenPrefix.length);
  const rest = [...items]
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => after === undefined || key > after)
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    ...(last === undefined || page.length === rest.length ? {} : { nextPageToken: `${tokenPrefix}${last.key}` }),
  };
}
