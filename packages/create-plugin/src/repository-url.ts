/**
 * A repository as npm wants it in `repository.url`: `acme/array`, `https://github.com/acme/array` and `git@github.com:acme/array.git` are all
 * `git+https://...git` or `git+ssh://...git`. Returns `undefined` for what names none.
 */
export function repositoryUrl(text: string): string | undefined {
  const [, owner, name] = /^(?:github:)?([\w.-]+)\/([\w.-]+)$/.exec(text) ?? [];
  const [, host, path] = /^git@([\w.-]+):([\w./-]+)$/.exec(text) ?? [];
  const address =
    owner !== undefined
      ? `https://github.com/${owner}/${name}`
      : host !== undefined
        ? `ssh://git@${host}/${path}`
        : text;
  const url = URL.parse(address.replace(/^git\+/, ""));
  // A manifest is public: no password belongs there.
  if (url === null || !["https:", "ssh:"].includes(url.protocol) || url.password !== "") return undefined;
  url.pathname = `${url.pathname.replace(/(\/|\.git)*$/, "")}.git`;
  return url.pathname === "/.git" || url.pathname === ".git" ? undefined : `git+${url.href}`;
}

/** Where a package's source may well be: on GitHub, under the name of its scope. */
export function likelyRepository(packageName: string): string {
  const [, scope, name = packageName] = /^@([^/]+)\/(.*)$/.exec(packageName) ?? [];
  return `https://github.com/${scope ?? name}/${name}`;
}
