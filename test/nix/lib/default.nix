# As much of nixpkgs' `lib` as nix/ uses, with its names and meaning, so that the modules are evaluated where
# there is no nixpkgs. `npm run test:nix` does the same with the real one.
let
  properties = import ./properties.nix;
  modules = import ./modules.nix { inherit lib; };
  inherit (builtins) attrNames concatStringsSep filter length listToAttrs map replaceStrings stringLength substring;

  lib = properties // modules // {
    inherit (builtins) any attrNames concatMap concatStringsSep filter isAttrs isList mapAttrs;
    inherit (import ./types.nix { inherit lib; }) types;

    inherit (builtins) attrValues;
    last = list: builtins.elemAt list (length list - 1);
    nameValuePair = name: value: { inherit name value; };
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
    filterAttrs = keep: set: removeAttrs set (filter (name: ! keep name set.${name}) (attrNames set));
    optional = condition: value: if condition then [ value ] else [ ];
    optionalAttrs = condition: set: if condition then set else { };
    concatMapStringsSep = separator: f: list: concatStringsSep separator (map f list);
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    escapeShellArg = text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
    makeBinPath = packages: concatStringsSep ":" (map (package: "${package}/bin") packages);

    mkOption = option: option // { _type = "option"; };
    mkEnableOption = what: lib.mkOption { type = lib.types.bool; default = false; description = "Whether to have ${what}."; };
  };
in
lib
