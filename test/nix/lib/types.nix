# Types: `check` says whether a definition may be merged, `merge` makes one value of all of them.
{ lib }:
let
  inherit (builtins) all any concatLists concatStringsSep elem genList head isAttrs isBool isInt isList isString length listToAttrs map;
  place = concatStringsSep ".";

  fits = { name, check, ... }: loc: values:
    if all check values then values
    else throw "A definition for option `${place loc}' is not of type `${name}'.";
  type = name: check: merge: let self = { inherit name check; merge = loc: values: merge loc (fits self loc values); }; in self;

  one = loc: values:
    if all (value: value == head values) values then head values
    else throw "The option `${place loc}' has conflicting definition values.";
  scalar = name: check: type name check one;
in
{
  types = rec {
    str = scalar "string" isString;
    lines = type "strings" isString (_: concatStringsSep "\n");
    int = scalar "signed integer" isInt;
    bool = scalar "boolean" isBool;
    unspecified = scalar "unspecified value" (_: true);
    enum = words: scalar "one of ${builtins.toJSON words}" (value: elem value words);

    nullOr = inner: type "null or ${inner.name}" (value: value == null || inner.check value)
      (loc: values: if any (value: value != null) values then inner.merge loc values else null);
    either = left: right: type "${left.name} or ${right.name}" (value: left.check value || right.check value)
      (loc: values: (if all left.check values then left else right).merge loc values);
    listOf = inner: type "list of ${inner.name}" isList
      (loc: values: let list = concatLists values; in genList (index: inner.merge (loc ++ [ "[${toString index}]" ]) (lib.definedValues [ (builtins.elemAt list index) ])) (length list))
      // { empty = [ ]; };
    attrsOf = inner: type "attribute set of ${inner.name}" isAttrs
      (loc: values: listToAttrs (builtins.concatMap
        (name:
          let defined = lib.definedValues (lib.definitionsOf name values); in
          if defined == [ ] then [ ] else [ { inherit name; value = inner.merge (loc ++ [ name ]) defined; } ])
        (lib.namesOf values)))
      // { empty = { }; };
    submodule = module: type "submodule" (value: isAttrs value || builtins.isFunction value)
      (loc: values: (lib.evalModules {
        modules = [ module ] ++ map (value: { config = value; }) values;
        specialArgs.name = lib.last loc;
        prefix = loc;
      }).config);
  };
}
