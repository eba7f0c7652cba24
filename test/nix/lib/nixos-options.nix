# Options of NixOS that nix/ sets, as nixos/lib/systemd-unit-options.nix and nixos/modules declare them. What a
# unit's section holds is merged as there: lists are joined.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  list = type: mkOption { type = types.listOf type; default = [ ]; };
  listOfText = list types.str;
  text = default: mkOption { type = types.str; inherit default; };

  fail = loc: what: throw "The option `${builtins.concatStringsSep "." loc}' has ${what}.";
  joined = loc: values:
    let lists = builtins.filter builtins.isList values; in
    if lists == values then builtins.concatLists values
    else if lists != [ ] then fail loc "definitions that are lists, and some that are not"
    else if builtins.all (value: value == builtins.head values) values then builtins.head values
    else fail loc "conflicting definition values";
  # nixpkgs' lib gives `merge` definitions with their files.
  setting = types.unspecified // { merge = loc: defs: joined loc (if lib ? mkOptionType then map (def: def.value) defs else defs); };
  section = mkOption { type = types.attrsOf setting; default = { }; };

  unit = extra: mkOption {
    default = { };
    type = types.attrsOf (types.submodule {
      options = {
        description = text "";
        wants = listOfText;
        requires = listOfText;
        after = listOfText;
        before = listOfText;
        conflicts = listOfText;
        wantedBy = listOfText;
        partOf = listOfText;
        overrideStrategy = mkOption { type = types.enum [ "asDropinIfExists" "asDropin" ]; default = "asDropinIfExists"; };
        restartTriggers = list types.unspecified;
        unitConfig = section;
      } // extra;
    });
  };
in
{
  options = {
    assertions = list types.unspecified;
    warnings = listOfText;
    boot.initrd.availableKernelModules = listOfText;
    boot.kernelModules = listOfText;
    environment.systemPackages = list types.unspecified;
    environment.etc = mkOption {
      default = { };
      type = types.attrsOf (types.submodule { options = { text = mkOption { type = types.lines; }; mode = text "symlink"; }; });
    };
    systemd.services = unit {
      path = list types.unspecified;
      script = mkOption { type = types.lines; default = ""; };
      restartIfChanged = mkOption { type = types.bool; default = true; };
      environment = mkOption { type = types.attrsOf types.str; default = { }; };
      serviceConfig = section;
    };
    systemd.sockets = unit { listenStreams = listOfText; socketConfig = section; };
    systemd.targets = unit { };
    systemd.tmpfiles = section;
  };
}
