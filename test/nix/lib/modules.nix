# evalModules: options that modules declare, and what all of them define. A definition without an option is
# an error, as are two that differ.
{ lib }:
let
  inherit (builtins) concatMap elem filter isAttrs isFunction isPath isString listToAttrs map;
  inherit (lib) definitionsOf namesOf;

  isOption = value: isAttrs value && value._type or "" == "option";
  place = builtins.concatStringsSep ".";

  # Each file once, however often it is imported.
  collect = args: seen: list:
    builtins.foldl'
      (state: module:
        let
          key = if isPath module || isString module then toString module else null;
          loaded = if key == null then module else import module;
          value = if isFunction loaded then loaded args else loaded;
          inner = collect args (state.seen ++ (if key == null then [ ] else [ key ])) (value.imports or [ ]);
        in
        if key != null && elem key state.seen then state
        else { seen = inner.seen; modules = state.modules ++ [ value ] ++ inner.modules; })
      { inherit seen; modules = [ ]; }
      list;

  reserved = [ "imports" "options" "config" "_class" "_file" "key" ];
  configOf = module: if module ? config || module ? options then module.config or { } else removeAttrs module reserved;

  # `declarations`: sets of options; `definitions`: what was said at `loc`.
  evaluate = loc: declarations: definitions:
    let
      declared = namesOf declarations;
      unknown = filter (name: ! elem name declared) (namesOf definitions);
      attribute = name:
        let
          here = loc ++ [ name ];
          found = definitionsOf name declarations;
          option = builtins.head (filter isOption found);
          defs = definitionsOf name definitions;
          values = lib.definedValues defs;
        in
        if ! builtins.any isOption found then evaluate here found defs
        else if values != [ ] then option.type.merge here values
        else if option ? default then option.type.merge here (lib.definedValues [ option.default ])
        else if option.type ? empty then option.type.empty
        else throw "The option `${place here}' was accessed but has no value defined.";
    in
    if unknown != [ ] then throw "The option `${place (loc ++ [ (builtins.head unknown) ])}' does not exist."
    else listToAttrs (map (name: { inherit name; value = attribute name; }) declared);
in
{
  evalModules = { modules, specialArgs ? { }, prefix ? [ ], ... }:
    let
      args = { inherit lib; inherit (result) config options; } // specialArgs;
      all = (collect args [ ] modules).modules;
      declarations = concatMap (module: if module ? options then [ module.options ] else [ ]) all;
      result = {
        options = builtins.foldl' merged { } declarations;
        config = evaluate prefix declarations (map configOf all);
      };
      merged = left: right: left // builtins.mapAttrs (name: value: if left ? ${name} && ! isOption value then merged left.${name} value else value) right;
    in
    result;
}
