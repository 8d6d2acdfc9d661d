import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  Application,
  type DeclarationReflection,
  Logger,
  LogLevel,
  type PageEvent,
  type ProjectReflection,
  Reflection,
  ReflectionKind,
  Renderer,
  type RendererEvent,
  TSConfigReader,
  TypeDocReader,
} from "typedoc";
import type { ApiModule } from "./api-modules.ts";
import { ContentTheme, ModuleRouter } from "./api-theme.ts";
import { codeThemes } from "./code-highlighter.ts";

/** A name that a module exports, or a member of one. */
export interface ApiSymbol {
  /** `StorageProvider`, `StorageProvider.createVolume`. */
  readonly name: string;
  /** In words: `interface`, `method`. */
  readonly kind: string;
  readonly module: string;
  /** From the folder of the reference, with its anchor. */
  readonly url: string;
  /** The first paragraph of its comment. */
  readonly summary: string;
  readonly exported: boolean;
}

/** A page of the reference, without a layout. */
export interface ApiPage {
  /** From the folder of the reference. */
  readonly url: string;
  readonly name: string;
  readonly kind: string;
  /** The module that it belongs to, or is. */
  readonly module: string;
  readonly summary: string;
  /** As typedoc wrote it. */
  readonly html: string;
}

/** What typedoc found. */
export interface ApiReference {
  readonly pages: readonly ApiPage[];
  readonly symbols: readonly ApiSymbol[];
  /** The colours of its code blocks. */
  readonly css: string;
  /** Links in comments that lead nowhere. */
  readonly deadLinks: readonly string[];
}

/** Reads the modules and renders them. Throws when typedoc reports an error. */
export async function readApi(root: string, modules: readonly ApiModule[]): Promise<ApiReference> {
  const out = mkdtempSync(join(tmpdir(), "vdc-docs-api-"));
  try {
    const app = await Application.bootstrap(
      {
        options: join(root, "typedoc.json"),
        tsconfig: join(root, "tsconfig.json"),
        entryPoints: modules.map(({ entry }) => join(root, entry)),
        basePath: root,
        displayBasePath: root,
        disableGit: true,
        sourceLinkTemplate: "source:{path}#L{line}",
        lightHighlightTheme: codeThemes.light,
        darkHighlightTheme: codeThemes.dark,
        readme: "none",
        useFirstParagraphOfCommentAsSummary: true,
      },
      [new TypeDocReader(), new TSConfigReader()],
    );
    const log = new CollectingLogger();
    app.logger = log;
    app.renderer.defineTheme("content", ContentTheme);
    app.renderer.defineRouter("modules", ModuleRouter);
    app.options.setValue("theme", "content");
    app.options.setValue("router", "modules");
    const project = await app.convert();
    if (project === undefined) throw new Error(`typedoc could not read the modules:\n${log.errors.join("\n")}`);
    nameModules(project, root, modules);
    linkByName(project);
    app.validate(project);
    const rendered: { readonly page: PageEvent<Reflection>; readonly html: string }[] = [];
    app.renderer.on(Renderer.EVENT_END_PAGE, (page: PageEvent) => {
      if (page.isReflectionEvent() && !page.model.isProject()) rendered.push({ page, html: page.contents ?? "" });
    });
    let symbols: readonly ApiSymbol[] = [];
    app.renderer.on(Renderer.EVENT_BEGIN, (event: RendererEvent) => {
      symbols = symbolsOf(event.project, (target) => app.renderer.router?.getFullUrl(target));
    });
    await app.generateDocs(project, out);
    if (log.errors.length > 0) throw new Error(`typedoc reported errors:\n${log.errors.join("\n")}`);
    const pages = rendered.map(({ page, html }) => pageOf(page.url, page.model, html));
    return { pages, symbols, css: readFileSync(join(out, "assets/highlight.css"), "utf8"), deadLinks: log.deadLinks };
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

class CollectingLogger extends Logger {
  readonly errors: string[] = [];
  readonly deadLinks: string[] = [];

  override log(message: string, level: LogLevel): void {
    if (level === LogLevel.Error) this.errors.push(message);
    if (level === LogLevel.Warn && message.startsWith("Failed to resolve link")) this.deadLinks.push(message);
  }
}

/** Readers know a module by what they import, not by its file. */
function nameModules(project: ProjectReflection, root: string, modules: readonly ApiModule[]): void {
  for (const child of project.children ?? []) {
    const file = project.files.getReflectionPath(child) ?? join(root, child.sources?.[0]?.fileName ?? "");
    const module = modules.find(({ entry }) => join(root, entry) === file);
    if (module !== undefined) child.name = module.specifier;
  }
  project.children?.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A comment that a class inherits names what its interface's module has imported, and the class's module may not have.
 * Such a link leads to the one export of that name.
 */
function linkByName(project: ProjectReflection): void {
  const exports = new Map<string, Reflection[]>();
  for (const child of (project.children ?? []).flatMap((module) => module.children ?? [])) {
    if (!child.kindOf(ReflectionKind.Reference)) exports.set(child.name, [...(exports.get(child.name) ?? []), child]);
  }
  for (const { comment } of Object.values(project.reflections)) {
    const parts = [...(comment?.summary ?? []), ...(comment?.blockTags ?? []).flatMap(({ content }) => content)];
    for (const part of parts) {
      if (part.kind !== "inline-tag" || part.tag !== "@link" || part.target instanceof Reflection) continue;
      const found = exports.get(part.text.trim()) ?? [];
      if (found.length === 1) part.target = found[0] as Reflection;
    }
  }
}

function pageOf(url: string, model: Reflection, html: string): ApiPage {
  const kind = ReflectionKind.singularString(model.kind).toLowerCase();
  return { url, name: model.name, kind, module: moduleOf(model).name, summary: summaryOf(model), html };
}

function moduleOf(reflection: Reflection): Reflection {
  let each = reflection;
  while (!each.kindOf(ReflectionKind.Module) && each.parent !== undefined) each = each.parent;
  return each;
}

function symbolsOf(
  project: ProjectReflection,
  urlOf: (target: Reflection) => string | undefined,
): readonly ApiSymbol[] {
  return (project.children ?? []).flatMap((module) =>
    (module.children ?? []).flatMap((child) => {
      if (child.kindOf(ReflectionKind.Reference)) return [];
      const members = child.kindOf(ReflectionKind.ClassOrInterface) ? (child.children ?? []) : [];
      const own = members.filter((each) => each.inheritedFrom === undefined && each.name !== "constructor");
      return [child, ...own].flatMap((each): ApiSymbol[] => {
        const url = urlOf(each);
        if (url === undefined) return [];
        const exported = each === child;
        const name = exported ? child.name : `${child.name}.${each.name}`;
        const kind = ReflectionKind.singularString(each.kind).toLowerCase();
        return [{ name, kind, module: module.name, url, summary: summaryOf(each), exported }];
      });
    }),
  );
}

/** The first paragraph of a comment, as text. */
function summaryOf(reflection: Reflection): string {
  const comment = reflection.comment ?? (reflection as DeclarationReflection).signatures?.[0]?.comment;
  const text = (comment?.summary ?? []).map((part) => part.text.replace(/^`+|`+$/g, "")).join("");
  return (text.split(/\n\s*\n/)[0] ?? "").replace(/\s+/g, " ").trim();
}
